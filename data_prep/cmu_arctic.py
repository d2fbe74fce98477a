"""CMU ARCTIC: phonetically balanced sentences, the same of every voice, with phone times.

What       up to 1,138 sentences of 3 s a voice, from books out of copyright; made for speech synthesis.
Hours      6.8: of the seven voices that are fetched by default; 13.9 of all
Speakers   7: bdl, rms (men of the United States), clb, slt (women), jmk (Canada), awb (Scotland), ksp (India); and 11
           more, nine of whom speak 592 to 666 sentences
Languages  English, with the accents above
Audio      16 kHz mono WAV, cmu_us_<voice>_arctic/wav/<prompt>.wav
Licence    free for any use: its notice must be kept and changes marked, as COPYING in each voice says
Source     http://festvox.org/cmu_arctic/
Citation   J. Kominek and A. W. Black (2004), The CMU Arctic speech databases, 5th ISCA Workshop on Speech Synthesis
Tried on   a miniature of its layout

Parts: the authors have none. By a hash of the prompt's name, 5% of the prompts are test and 5% dev, the same of every
voice, so that no sentence is in two parts and what is held out was said by all. Ids are <voice>-<prompt>, such as
bdl-arctic_a0001; the text is that of etc/txt.done.data. lab/<prompt>.lab becomes phones.ctm: the phones that Festvox's
scripts found, which nobody corrected. Of a copy, every voice is used, unless --voices says otherwise.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Sequence
from pathlib import Path

from data_prep import archives, command
from data_prep.tables import read_lines
from data_prep.writing import Findings, require, require_texts, write_parts
from vqaudio.corpus.datadir import DataDir, Utterance
from vqaudio.errors import VQAudioError

DIGESTS = {  # sha256, as torchaudio has them (torchaudio.datasets.cmuarctic); the authors give none
    "aew": "645cb33c0f0b2ce41384fdd8d3db2c3f5fc15c1e688baeb74d2e08cab18ab406",
    "ahw": "024664adeb892809d646a3efd043625b46b5bfa3e6189b3500b2d0d59dfab06c",
    "aup": "2c55bc3050caa996758869126ad10cf42e1441212111db034b3a45189c18b6fc",
    "awb": "d74a950c9739a65f7bfc4dfa6187f2730fa03de5b8eb3f2da97a51b74df64d3c",
    "axb": "dd65c3d2907d1ee52f86e44f578319159e60f4bf722a9142be01161d84e330ff",
    "bdl": "26b91aaf48b2799b2956792b4632c2f926cd0542f402b5452d5adecb60942904",
    "clb": "3f16dc3f3b97955ea22623efb33b444341013fc660677b2e170efdcc959fa7c6",
    "eey": "8a0ee4e5acbd4b2f61a4fb947c1730ab3adcc9dc50b195981d99391d29928e8a",
    "fem": "3fcff629412b57233589cdb058f730594a62c4f3a75c20de14afe06621ef45e2",
    "gka": "dc82e7967cbd5eddbed33074b0699128dbd4482b41711916d58103707e38c67f",
    "jmk": "3a37c0e1dfc91e734fdbc88b562d9e2ebca621772402cdc693bbc9b09b211d73",
    "ksp": "8029cafce8296f9bed3022c44ef1e7953332b6bf6943c14b929f468122532717",
    "ljm": "b23993765cbf2b9e7bbc3c85b6c56eaf292ac81ee4bb887b638a24d104f921a0",
    "lnh": "4faf34d71aa7112813252fb20c5433e2fdd9a9de55a00701ffcbf05f24a5991a",
    "rms": "c6dc11235629c58441c071a7ba8a2d067903dfefbaabc4056d87da35b72ecda4",
    "rxr": "1fa4271c393e5998d200e56c102ff46fcfea169aaa2148ad9e9469616fbfdd9b",
    "slp": "54345ed55e45c23d419e9a823eef427f1cc93c83a710735ec667d068c916abf1",
    "slt": "7c173297916acf3cc7fcab2713be4c60b27312316765a90934651d367226b4ea",
}
VOICES = tuple(DIGESTS)
FIRST = ("awb", "bdl", "clb", "jmk", "ksp", "rms", "slt")
"""The voices of 1,114 to 1,138 sentences that the corpus began with."""
OPTIONS = (
    command.Option("voices", (), "voices to use; by default these are fetched: " + ",".join(FIRST), choices=VOICES),
)
FOLDER = "cmu_us_{}_arctic"
PROMPT = re.compile(r'\( *(?P<name>\S+) +"(?P<text>.*)" *\)')


def download(downloads: str | Path, voices: Sequence[str] = ()) -> Path:
    """Fetch what is absent of the voices, by default the `FIRST` ones, and return the folder that they are in."""
    wanted = [
        archives.Archive(
            f"http://festvox.org/cmu_arctic/packed/{FOLDER.format(voice)}.tar.bz2", f"sha256:{DIGESTS[voice]}"
        )
        for voice in voices or FIRST
    ]
    return archives.obtain(wanted, downloads)


def locate(root: Path, voices: Sequence[str] = ()) -> dict[str, Path]:
    """Return the folder of each voice that is in `root`, or up to two folders below it; of all or of `voices`.

    Raises:
        VQAudioError: none there, or not one of `voices`.
    """
    found = {}
    for depth, voice in itertools.product(("", "*/", "*/*/"), VOICES):
        for prompts in sorted(root.glob(f"{depth}etc/txt.done.data")):
            if prompts.parents[1].name.startswith(FOLDER.format(voice)):
                found.setdefault(voice, prompts.parents[1])
    require(sorted(found), root, f"{FOLDER.format('<voice>')}/etc/txt.done.data and …/wav, as the archives unpack")
    if absent := [voice for voice in voices if voice not in found]:
        raise VQAudioError(f"{root}: no voice {', '.join(absent)} in it; there are {', '.join(sorted(found))}")
    return {voice: found[voice] for voice in sorted(voices or found)}


def read_prompts(path: str | Path) -> dict[str, str]:
    """Return the texts of a prompt file, by name: lines of `( arctic_a0001 "Author of the danger trail, …" )`.

    Raises:
        VQAudioError: a line of another form.
    """
    texts = {}
    for number, line in enumerate(read_lines(path), start=1):
        match = PROMPT.fullmatch(line.strip())
        if match:
            texts[match["name"]] = " ".join(match["text"].replace('\\"', '"').split())
        elif line.strip():
            raise VQAudioError(f'{path}:{number}: {line!r}, expected ( arctic_a0001 "Author of the danger trail" )')
    return texts


def read_labels(path: str | Path) -> list[str]:
    """Return the lines of phones.ctm of a label file, without the utterance: `1 <start> <duration> <phone>`, seconds.

    A label file has a header that '#' ends, then lines of a phone's end in seconds, a colour, and the phone.

    Raises:
        VQAudioError: a line of another form, or an end before the one above it.
    """
    values, start = [], 0.0
    lines = read_lines(path)
    first = lines.index("#") + 1 if "#" in lines else 0
    for number, line in enumerate(lines[first:], start=first + 1):
        match = re.fullmatch(r"\s*(\d+\.?\d*)\s+\d+\s+(\S+).*", line)
        if match and float(match[1]) >= start:
            values.append(f"1 {start:.6f} {float(match[1]) - start:.6f} {match[2]}")
            start = float(match[1])
        elif line.strip():
            raise VQAudioError(f"{path}:{number}: {line!r}, expected end, colour, phone, with an end after {start} s")
    return values


def part_of(prompt: str) -> str:
    """Return the part of a prompt, of whatever voice: 5% test, 5% dev, the rest train."""
    place = int(hashlib.md5(prompt.encode(), usedforsecurity=False).hexdigest(), 16) % 100
    return "test" if place < 5 else "dev" if place < 10 else "train"


def read_voice(voice: str, folder: Path, findings: Findings) -> dict[str, tuple[Utterance, list[str]]]:
    """Return the utterances of a voice by prompt, each with its lines of phones.ctm.

    Raises:
        VQAudioError: a recording without text.
    """
    texts = read_prompts(folder / "etc/txt.done.data")
    recorded = {path.stem: path for path in folder.glob("wav/*.wav")}
    require(sorted(recorded), folder, "wav/arctic_a0001.wav and so on")
    require_texts(sorted(prompt for prompt in recorded if not texts.get(prompt)), folder / "etc/txt.done.data")
    for prompt in sorted(texts.keys() - recorded.keys()):
        findings.add(f"{voice}-{prompt}", "left out: a prompt without a recording", texts[prompt])
    return {
        prompt: (Utterance(f"{voice}-{prompt}", voice, str(path), text=texts[prompt]), _times(voice, path, findings))
        for prompt, path in sorted(recorded.items())
    }


def _times(voice: str, recording: Path, findings: Findings) -> list[str]:
    labels = recording.parents[1] / "lab" / f"{recording.stem}.lab"
    if not labels.exists():
        findings.add(f"{voice}-{recording.stem}", "without phone times: no label file")
        return []
    try:
        return read_labels(labels)
    except VQAudioError as error:
        findings.add(f"{voice}-{recording.stem}", "without phone times: a broken label file", str(error))
    return []


def prepare(root: str | Path, out: str | Path, voices: Sequence[str] = ()) -> dict[str, DataDir]:
    """Write `out`/{train,dev,test} from `voices`, by default all in `root` or up to two folders below it.

    What is left out, and who is without phone times, is in `out`/findings.tsv.

    Raises:
        VQAudioError: no voice there, or not one of `voices`; a recording without text.
    """
    root, out, findings = Path(root).resolve(), Path(out), Findings()
    parts: dict[str, list[Utterance]] = {"train": [], "dev": [], "test": []}
    phones = {}
    for voice, folder in locate(root, voices).items():
        for prompt, (utterance, times) in read_voice(voice, folder, findings).items():
            parts[part_of(prompt)].append(utterance)
            phones[utterance.id] = times
    findings.write(out / "findings.tsv")
    return write_parts(out, parts, {"phones.ctm": phones})


def main(argv: Sequence[str] | None = None) -> int:
    """Prepare the corpus as the command line says; return the exit status."""
    return command.prepare_corpus("cmu_arctic", __doc__, argv, prepare, download, OPTIONS)


if __name__ == "__main__":
    raise SystemExit(main())

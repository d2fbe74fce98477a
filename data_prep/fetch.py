"""Downloads: packages of Debian and Ubuntu, and files over HTTP. Needs the standard library only.

    python -m data_prep.fetch asterisk-core-sounds-en --into downloads

Whatever these functions leave under its final name is whole: work goes on under another name, and a rename ends
it. A download that was interrupted goes on, and one that is complete is not repeated. What unpacks archives is in
`data_prep.archives`.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import logging
import os
import re
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vqaudio.errors import VQAudioError

logger = logging.getLogger(__name__)

BLOCK_BYTES = 1 << 18
TIMEOUT_SECONDS = 60
ATTEMPTS = 4
_CHECKED = 1 << 26  # bytes of a file of unknown length between looks at the room on the disk


class FetchError(VQAudioError):
    """Something that could not be downloaded or unpacked; the message says what, from where and why."""


def have_apt() -> bool:
    """Return whether this machine can fetch and unpack Debian packages."""
    return all(shutil.which(tool) for tool in ("apt-get", "dpkg-deb"))


def debian_packages(names: Sequence[str], into: str | Path) -> list[Path]:
    """Download Debian packages and unpack each as the folder `into`/<name>. Needs no root, installs nothing.

    The system's package lists are used where they know the packages; else lists are fetched into a folder of
    their own below `into`. apt checks the hash of every file.

    Returns:
        The folders, in the order of `names`.

    Raises:
        FetchError: there is no apt here, or it cannot fetch a package.
    """
    into = Path(into).absolute()
    missing = [name for name in names if not (into / name).is_dir()]
    if missing and not have_apt():
        raise FetchError(f"cannot fetch {', '.join(missing)}: this machine has no apt-get and dpkg-deb")
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=into, prefix=".apt-") as scratch:
        for name in missing:
            logger.info("fetching the package %s", name)
            package = _apt_download(name, Path(scratch) / name, lists=Path(scratch) / "lists")
            unpacked = Path(scratch) / name / "unpacked"
            _run(["dpkg-deb", "-x", str(package), str(unpacked)])
            unpacked.rename(into / name)
    return [into / name for name in names]


def http_file(url: str, path: str | Path, digest: str | None = None) -> Path:
    """Download `url` to `path`, going on from `path`.part where that exists. Does nothing where `path` exists.

    Args:
        digest: what the publisher gives, as "md5:…", "sha1:…" or "sha256:…"; another file is deleted and refused.

    Raises:
        FetchError: not there, no connection after several attempts, a web page in its place, or another digest.
        VQAudioError: no room on the disk, asked for beforehand where the server says how much it takes.
    """
    from vqaudio.audio.lock_file import locked  # NumPy stands behind it, which `debian_packages` does without

    path = Path(path)
    if path.exists():
        return path
    with locked(path.with_name(f".{path.name}.lock"), lambda who: _busy(path, who), remove=True):
        return path if path.exists() else _http_file(url, path, digest)


def _busy(path: Path, who: str) -> FetchError:
    return FetchError(f"{path}: another job is fetching it ({who}): wait for its end")


def _http_file(url: str, path: Path, digest: str | None) -> Path:
    part = path.with_name(path.name + ".part")
    logger.info("fetching %s", url)
    _with_attempts(lambda: _http_continue(url, part), url)
    if digest is not None:
        kind, _, expected = digest.partition(":")
        if (found := file_digest(part, kind)) != expected.lower():
            part.unlink()
            raise FetchError(
                f"{url}: the file's {kind} digest is {found}, expected {expected}. It was deleted; try again."
            )
    with open(part, "rb") as file:
        os.fsync(file.fileno())  # the name that says "whole" must not reach the disk before the bytes
    return part.rename(path)


def http_text(url: str) -> str | None:
    """Return a small text file at `url`, or None where the server says that there is none."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:
            return response.read(BLOCK_BYTES).decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        if error.code in (403, 404, 410):
            return None
        raise FetchError(f"{url}: {error}") from error
    except OSError as error:
        raise FetchError(f"{url}: {getattr(error, 'reason', error)}") from error


def file_digest(path: str | Path, kind: str) -> str:
    """Return the digest of a file in hexadecimal digits; `kind` is a name that hashlib knows, such as "md5"."""
    digest = hashlib.new(kind, usedforsecurity=False)
    with open(path, "rb") as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def progress(name: str, total: int | None, done: int = 0) -> Iterator[Callable[[int], object]]:
    """Yield a function that is told of bytes done: a bar on the terminal, where tqdm is installed."""
    try:
        from tqdm import tqdm
    except ImportError:  # the environment is only being made
        yield lambda count: None
        return
    with tqdm(total=total, initial=done, desc=name, unit="B", unit_scale=True, disable=None) as bar:
        yield bar.update


def _apt_download(name: str, scratch: Path, lists: Path) -> Path:
    """Return the .deb file of a package, in `scratch`; first by the system's lists, then by our own."""
    scratch.mkdir()
    for own in (False, True) if not lists.exists() else (True,):
        options = _own_lists(lists) if own else []
        result = _run(["apt-get", "-o", "APT::Sandbox::User=", *options, "download", name], cwd=scratch, check=False)
        found = sorted(scratch.glob("*.deb"))
        if result.returncode == 0 and found:
            return found[0]
    raise FetchError(f"apt-get cannot download {name}: {result.stderr.strip() or result.stdout.strip()}")


def _own_lists(folder: Path) -> list[str]:
    """Return options that make apt-get keep package lists and a cache in `folder`, which any user may; fetch them."""
    own = {"Dir::State::Lists": folder, "Dir::Cache": folder / "cache", "APT::Sandbox::User": ""}
    options = [word for key, value in own.items() for word in ("-o", f"{key}={value}")]
    if not folder.exists():
        for name in ("partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True)
        logger.info("fetching package lists")
        _run(["apt-get", *options, "update"])
    return options


def _run(command: list[str], cwd: Path | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if check and result.returncode != 0:
        raise FetchError(f"{' '.join(command)}: {result.stderr.strip() or result.stdout.strip()}")
    return result


def _with_attempts(action: Callable[[], None], url: str) -> None:
    """Do `action` again, a few times, while the connection is what fails."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return action()
        except urllib.error.HTTPError as error:
            raise FetchError(f"{url}: {error}") from error
        except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: an address that is none
            if attempt == ATTEMPTS:
                reason = getattr(error, "reason", None) or str(error) or type(error).__name__
                raise FetchError(f"{url}: {reason}. A later run goes on from here.") from error
            logger.warning("%s: %s; attempt %d of %d", url, error, attempt + 1, ATTEMPTS)


def _http_continue(url: str, part: Path) -> None:
    """Append to `part` what it lacks of `url`; OSError or HTTPException where the connection ends too early."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        if error.code != 416:
            raise
        if have and error.headers.get("Content-Range") == f"bytes */{have}":
            return  # nothing is lacking: the run before was stopped between the last byte and the renaming
        part.unlink()  # longer than what is there now: another version of the file
        raise ConnectionError("the file changed on the server") from error
    with response:
        _refuse_page(response, url, part)
        if response.status == 206 and _range_start(response) not in (have, None):
            part.unlink()
            raise ConnectionError("the server sent another part of the file than was asked for")
        _append(response, url, part, have if response.status == 206 else 0)


def _refuse_page(response: http.client.HTTPResponse, url: str, part: Path) -> None:
    if response.headers.get_content_type() == "text/html" and ".htm" not in part.name:
        raise FetchError(f"{url}: a web page came in place of {part.name.removesuffix('.part')}")


def _range_start(response: http.client.HTTPResponse) -> int | None:
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def _append(response: http.client.HTTPResponse, url: str, part: Path, have: int) -> None:
    """Write to `part`, from its byte `have` on, what the server sends."""
    from vqaudio.audio.space import require_space

    expected = response.length
    require_space(part.parent, expected or 0, url)
    name = part.name.removesuffix(".part")
    written = 0
    with open(part, "ab" if have else "wb") as file, progress(name, expected and have + expected, have) as told:
        while block := response.read(BLOCK_BYTES):
            if expected is None and written % _CHECKED < BLOCK_BYTES:
                require_space(part.parent, _CHECKED, url)  # it may never end
            file.write(block)
            written += len(block)
            told(len(block))
    if expected is not None and written < expected:
        raise ConnectionError(f"the connection ended after {written} of {expected} bytes")


def main(argv: Sequence[str] | None = None) -> None:
    """Fetch and unpack Debian packages as the command line says."""
    parser = argparse.ArgumentParser(
        prog="python -m data_prep.fetch", description=debian_packages.__doc__.split("\n")[0]
    )
    parser.add_argument("packages", nargs="+", help="names of Debian packages")
    parser.add_argument("--into", required=True, help="folder that gets one folder per package")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        debian_packages(arguments.packages, arguments.into)
    except VQAudioError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")


if __name__ == "__main__":
    main()

"""Sound heard while it is made, by whichever player the machine has."""

from __future__ import annotations

import logging
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from vqaudio.audio.wav_stream import PcmPipe
from vqaudio.errors import VQAudioError

logger = logging.getLogger(__name__)

PLAYERS = {
    "aplay": "-q -t raw -f S16_LE -c 1 -r {rate} -",
    "ffplay": "-loglevel error -nodisp -autoexit -f s16le -sample_rate {rate} -i -",
    "play": "-q -t raw -e signed-integer -b 16 -L -c 1 -r {rate} -",
}
"""Programs that play sound, in the order in which they are looked for, and how they take 16-bit samples from a pipe."""
LAST_WORDS_SECONDS = 5.0
"""For how long to wait for a player that reads no more to say why."""


def find_player() -> str:
    """Return the player on PATH. Raises VQAudioError, naming those that are known, where there is none."""
    for name in PLAYERS:
        if shutil.which(name):
            return name
    raise VQAudioError(
        "--play: no player on PATH; expected aplay (Debian's package alsa-utils), ffplay (ffmpeg) or play (sox). "
        "`--stream - | PROGRAM` takes any other"
    )


@contextmanager
def player_pipe(name: str, sample_rate: int) -> Iterator[PcmPipe]:
    """Yield what writes to the player `name`, and wait at the end until all has been heard.

    Raises VQAudioError where the player fails. One that was closed raises BrokenPipeError at the next write.
    """
    command = [name, *PLAYERS[name].format(rate=sample_rate).split()]
    logger.debug("playing with: %s", " ".join(command))
    player = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        yield PcmPipe(player.stdin, name)
        player.stdin.close()
        _require_success(name, player.wait())
    except BrokenPipeError:
        _require_success(name, _status(player))
        raise
    finally:
        _end(player)


def _status(player: subprocess.Popen) -> int:
    try:
        return player.wait(LAST_WORDS_SECONDS)
    except subprocess.TimeoutExpired:  # it lives, and does not listen
        return 0


def _require_success(name: str, status: int) -> None:
    """Raise VQAudioError for a player that failed; one that a signal ended (a negative status) was closed."""
    if status > 0:
        raise VQAudioError(f"--play: {name} failed with status {status}; what it says stands above")


def _end(player: subprocess.Popen) -> None:
    """Let nothing be heard after an interruption or an error."""
    with suppress(BrokenPipeError):
        player.stdin.close()
    if player.poll() is None:
        player.terminate()
        player.wait()

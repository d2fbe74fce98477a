"""OpenSLR, https://www.openslr.org: the addresses of its archives, and of their mirrors."""

from __future__ import annotations

from data_prep.archives import Archive

SITE = "https://www.openslr.org/resources"
MIRRORS = tuple(
    f"https://{host}/resources"
    for host in ("us.openslr.org", "openslr.trmal.net", "openslr.elda.org", "openslr.magicdatatech.com")
)
"""In America, Europe and China, as the site's pages have named them over the years; any may be slow or away."""


def archive(resource: int, file: str, md5: str | None = None, folder: str = "") -> Archive:
    """Return `file` of a resource by its number; `folder` as in `archives.Archive`."""
    place = f"{resource}/{file}"
    return Archive(
        f"{SITE}/{place}",
        digest=f"md5:{md5}" if md5 else None,
        mirrors=tuple(f"{mirror}/{place}" for mirror in MIRRORS),
        folder=folder,
    )

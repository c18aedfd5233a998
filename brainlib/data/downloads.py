"""Published sets from Kaggle and figshare, in the version that the registry names."""

from __future__ import annotations

import hashlib
import json
import re
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

from brainlib import progress
from brainlib.data.registry import Archive, DataSetInfo
from brainlib.errors import DataError, reason
from brainlib.io import writing

# Not the "download_url" of an answer: what it names asks for a browser (an empty 202), this does not.
_FIGSHARE = "https://api.figshare.com/v2"
_SECONDS = 60  # without a byte
_BLOCK = 2**20


def from_kaggle(info: DataSetInfo) -> Path:
    """Download a set from Kaggle with kagglehub, unless it has done so before; DataError if that fails."""
    try:
        import kagglehub

        return Path(kagglehub.dataset_download(info.handle))
    except Exception as error:  # network, credentials, consent, disk: kagglehub raises any kind
        advice = "check the network and your Kaggle login"
        raise _failed(info, "Kaggle", error, advice) from error


def from_figshare(info: DataSetInfo, folder: Path, on_progress: progress.OnProgress = progress.ignore) -> Path:
    """Download those archives of a set that the folder does not hold whole, and return the folder.

    Each must have the published size and MD5, else it gets no name. DataError if figshare offers other archives, sends
    another one, or cannot be reached; StoreError if the folder cannot be written.
    """
    missing = [archive for archive in info.archives if not _is_whole(folder / archive.name, archive)]
    try:
        offered = _offered(info) if missing else {}
        for archive in missing:
            found = offered.get(archive.name)
            if found is None or (found["size"], found["computed_md5"]) != (archive.size, archive.md5):
                raise ValueError(f"an article without {archive.name} as it was published")
            with writing(folder / archive.name) as file:
                digest, done = hashlib.md5(usedforsecurity=False), 0
                for block in _blocks(f"{_FIGSHARE}/file/download/{int(found['id'])}", archive.size):
                    file.write(block)
                    digest.update(block)
                    done += len(block)
                    on_progress(done / archive.size, f"{archive.name}: {done // _BLOCK} MB")
                if (done, digest.hexdigest()) != (archive.size, archive.md5):
                    raise ValueError(f"{done} bytes of {archive.name} that are not its {archive.size}")
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise _failed(info, "figshare", error, "check the network") from error
    return folder


def _failed(info, host, error, advice):
    place = f"unpack {info.url} as DATA/{info.name} yourself"
    return DataError(f"{info.handle}: expected a download from {host}, received {reason(error)}; {advice}, or {place}")


def _offered(info: DataSetInfo) -> dict[str, dict]:
    """Return what figshare says of the files of an article, in the version that the DOI names, by name."""
    article, version = re.fullmatch(r"10\.6084/m9\.figshare\.(\d+)\.v(\d+)", info.handle).groups()
    answer = b"".join(_blocks(f"{_FIGSHARE}/articles/{article}/versions/{version}", _BLOCK))
    return {each["name"]: each for each in json.loads(answer)["files"]}


def _blocks(url: str, most: int) -> Iterator[bytes]:
    """Yield what an address sends; ValueError if it cannot be reached, or sends more than so many bytes."""
    try:
        with urllib.request.urlopen(url, timeout=_SECONDS) as answer:
            while block := answer.read(_BLOCK):
                most -= len(block)
                if most < 0:
                    raise ValueError(f"more bytes than announced from {url}")
                yield block
    except (OSError, HTTPException) as error:  # as another kind: of an OSError `writing` would say that the disk failed
        raise ValueError(reason(error)) from error


def _is_whole(path: Path, archive: Archive) -> bool:
    if not path.is_file() or path.stat().st_size != archive.size:
        return False
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest() == archive.md5

"""Downloads from figshare, with answers of our own in place of the network's."""

from __future__ import annotations

import hashlib
import io
import json
import urllib.request
import zipfile

import pytest
from test_cheng import write_slice

from brainlib.data import load_dataset, registry
from brainlib.errors import DataError

API = "https://api.figshare.com/v2"


@pytest.fixture
def figshare(monkeypatch, tmp_path):
    """Two archives of two slices each, as figshare offers them; what is asked for, and what is sent, by address."""
    archives, sent = [], {}
    for number, label in enumerate((1, 2)):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            for slice_ in (1, 2):
                name = f"{2 * number + slice_}.mat"
                archive.write(write_slice(tmp_path / "published" / name, label, f"10{slice_}"), name)
        data = packed.getvalue()
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        archives.append(registry.Archive(f"part{number}.zip", len(data), md5))
        sent[f"{API}/file/download/{number}"] = data
    offered = [
        {"id": number, "name": each.name, "size": each.size, "computed_md5": each.md5, "download_url": "file:///x"}
        for number, each in enumerate(archives)
    ]
    sent[f"{API}/articles/7/versions/5"] = json.dumps({"files": [*offered, {"name": "cvind.mat"}]}).encode()
    folders = tuple(registry.Folder(label, label, "", 2) for label in ("glioma", "meningioma"))
    info = registry.DataSetInfo("cheng", "", "10.6084/m9.figshare.7.v5", "", folders, tuple(archives))
    monkeypatch.setitem(registry.REGISTRY, "cheng", info)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    asked = []

    def urlopen(url, timeout):
        asked.append(url)
        if isinstance(sent[url], Exception):
            raise sent[url]
        return io.BytesIO(sent[url])

    monkeypatch.setattr(urllib.request, "urlopen", urlopen)
    return asked, sent


def kept(tmp_path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "caches" / "brainlib" / "figshare" / "7.v5").glob("*"))


def test_archives_are_fetched_once_in_the_version_that_the_registry_names(figshare, store, tmp_path):
    asked, _ = figshare
    found = load_dataset("cheng", "kaggle", store)
    assert found.differences == () and found.table["patient"].tolist() == ["101", "102"] * 2
    assert asked == [f"{API}/articles/7/versions/5", f"{API}/file/download/0", f"{API}/file/download/1"]
    assert kept(tmp_path) == ["part0.zip", "part1.zip"]
    assert load_dataset("cheng", "kaggle", store).fingerprint == found.fingerprint and len(asked) == 3


@pytest.mark.fault(
    "10d", "a download breaks off or is damaged on disk", "what is whole stays; the rest is fetched again"
)
def test_what_broke_off_or_is_damaged_is_fetched_again_and_no_more(figshare, store, tmp_path):
    asked, sent = figshare
    whole, sent[f"{API}/file/download/1"] = sent[f"{API}/file/download/1"], ConnectionResetError("reset\nby peer")
    with pytest.raises(
        DataError, match="7.v5: expected a download from figshare, received reset by peer; check the net"
    ):
        load_dataset("cheng", "kaggle", store)
    assert kept(tmp_path) == ["part0.zip"]
    sent[f"{API}/file/download/1"] = whole
    load_dataset("cheng", "kaggle", store)
    assert asked[-2:] == [f"{API}/articles/7/versions/5", f"{API}/file/download/1"]
    part = tmp_path / "caches" / "brainlib" / "figshare" / "7.v5" / "part0.zip"
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    load_dataset("cheng", "kaggle", store)
    assert asked[-1] == f"{API}/file/download/0"


ANSWERS = {
    "cut": lambda data: data[:-1],
    "nothing, as where a browser is asked for": lambda data: b"",
    "without end": lambda data: data + bytes(2**20),
    "of other bytes": lambda data: data[:-1] + b"x",
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.fault("10e", "another file arrives than was published", "refused in one line; it gets no name")
def test_an_archive_that_is_not_the_published_one_gets_no_name(figshare, store, tmp_path, answer):
    _, sent = figshare
    sent[f"{API}/file/download/0"] = ANSWERS[answer](sent[f"{API}/file/download/0"])
    with pytest.raises(DataError, match="expected a download from figshare, received .*bytes") as caught:
        load_dataset("cheng", "kaggle", store)
    assert "\n" not in str(caught.value) and kept(tmp_path) == []


@pytest.mark.parametrize(
    "offered",
    [b"<html>", b"[]", b"{}", b'{"files": [{"name": "part0.zip"}]}', b'{"files": []}', b"[" * 2**17, bytes(2**21)],
)
def test_an_article_with_other_files_is_refused_in_one_line(figshare, store, tmp_path, offered):
    asked, sent = figshare
    sent[f"{API}/articles/7/versions/5"] = offered
    with pytest.raises(DataError, match="expected a download from figshare, received") as caught:
        load_dataset("cheng", "kaggle", store)
    assert "\n" not in str(caught.value) and len(asked) == 1 and kept(tmp_path) == []


def test_a_file_that_figshare_replaced_is_not_fetched(figshare, store, tmp_path):
    asked, sent = figshare
    article = json.loads(sent[f"{API}/articles/7/versions/5"])
    article["files"][0]["computed_md5"] = "0" * 32
    sent[f"{API}/articles/7/versions/5"] = json.dumps(article).encode()
    with pytest.raises(DataError, match=r"received an article without part0\.zip as it was published"):
        load_dataset("cheng", "kaggle", store)
    assert len(asked) == 1

"""Stored results: whole or not there, verified when read, set aside rather than deleted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest

from brainlib.errors import StoreError
from brainlib.trials.store import holds, load_model, read, save, unfinished

TRIAL = {"size": 4, "model": {"channels": 1}, "classes": ["no", "yes"]}
FACTS = {"seconds": {"training": 1.5}, "note": "fünf", "trial": TRIAL}


def tables() -> dict[str, pd.DataFrame]:
    return {
        "predictions": pd.DataFrame({"path": ["yes/a b.png", "no/ü.png"], "p_yes": np.array([0.25, 0.75], np.float32)}),
        "history": pd.DataFrame({"epoch": [1, 2], "loss": [0.7, 0.1]}),
    }


@pytest.fixture
def kept(store):
    """A store with one result, and the folder of that result."""
    save(store, "key", FACTS, tables())
    return store / "trials" / "key"


@pytest.fixture
def printed(monkeypatch):
    lines = []
    monkeypatch.setattr("brainlib.progress.log", lines.append)
    return lines


@contextmanager
def refused(match="expected"):
    with pytest.raises(StoreError, match=match) as error:
        yield
    assert "\n" not in str(error.value)


def test_a_result_comes_back_as_it_was(store, kept):
    facts, found = read(store, "key")
    assert {name: facts[name] for name in FACTS} == FACTS
    assert set(found) == set(tables())
    for name, table in tables().items():
        pd.testing.assert_frame_equal(found[name], table)


def test_an_unknown_key_is_not_held_and_cannot_be_read(store):
    assert not holds(store, "key")
    with refused("run again"):
        read(store, "key")


def flip_a_bit(file):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def truncate(file):
    file.write_bytes(file.read_bytes()[:-1])


@pytest.mark.fault("4h", "the seconds in trial.json are edited", "said; set aside, not deleted; trained again")
@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("predictions.parquet", flip_a_bit),
        ("predictions.parquet", truncate),
        ("predictions.parquet", os.unlink),
        ("history.parquet", lambda file: file.write_bytes(b"")),
        ("trial.json", truncate),
        ("trial.json", os.unlink),
        ("trial.json", lambda file: file.write_bytes(b"\xff\xfe")),
        ("trial.json", lambda file: file.write_text("[]")),
        ("trial.json", lambda file: file.write_text("{}")),
        ("trial.json", lambda file: file.write_text('{"sha256": ["predictions.parquet"]}')),
        ("trial.json", lambda file: file.write_text('{"sha256": {"predictions.parquet": 1}}')),
        ("trial.json", lambda file: file.write_text('{"sha256": {}}')),
        ("trial.json", lambda file: file.write_text("[" * 100_000)),
        ("trial.json", lambda file: file.write_text(file.read_text().replace("1.5", "1e9"))),
        ("trial.json", flip_a_bit),
    ],
)
@pytest.mark.fault(
    "4o", "any file of a stored trial is cut, missing or nonsense", "set aside whole, in one line, and trained again"
)
def test_a_damaged_result_is_set_aside_whole_with_a_message(store, kept, printed, file, damage):
    damage(kept / file)
    left = {path.name: path.read_bytes() for path in kept.iterdir()}
    with refused():
        read(store, "key")
    assert not holds(store, "key")
    assert not kept.exists()
    (aside,) = kept.parent.iterdir()
    assert {path.name: path.read_bytes() for path in aside.iterdir()} == left
    (line,) = printed
    assert "key" in line and aside.name in line and "trained again" in line

    # Another result takes the place; what was set aside stays.
    save(store, "key", FACTS, tables())
    assert holds(store, "key")
    assert {path.name for path in kept.parent.iterdir()} == {"key", aside.name}


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "..", "", ".", "a/../../secret"])
@pytest.mark.fault("9d", "trial.json names files outside its folder", "it does not verify; nothing outside is read")
def test_names_that_leave_the_folder_are_refused(store, kept, printed, name):
    (kept.parent / "secret").write_bytes(b"")
    facts = json.loads((kept / "trial.json").read_text())
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    del facts["sha256"]["trial.json"]
    facts["sha256"][name] = empty
    (kept / "trial.json").write_text(json.dumps(facts))
    assert not holds(store, "key")


def test_a_change_of_any_byte_of_the_facts_is_found(store, kept):
    whole = (kept / "trial.json").read_bytes()
    for place in range(len(whole)):
        (kept / "trial.json").write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with refused():
            read(store, "key")


def test_facts_of_an_earlier_version_without_a_sum_of_their_own_are_valid(store, kept):
    facts = json.loads((kept / "trial.json").read_text())
    del facts["sha256"]["trial.json"]
    (kept / "trial.json").write_text(json.dumps(facts, indent=1))
    assert holds(store, "key") and read(store, "key")[0] == facts


def test_saving_again_replaces_the_result_and_leaves_nothing_else(store, kept):
    save(store, "key", {"note": "second"}, tables())
    assert read(store, "key")[0]["note"] == "second"
    assert [folder.name for folder in kept.parent.iterdir()] == ["key"]


def test_a_stored_result_needs_no_checkpoint_and_nobody_needs_one_of_two_weeks_ago(store):
    mine, other, old = (unfinished(store, name) for name in ("key", "other", "old"))
    mine.parent.mkdir(parents=True)
    for path in (mine, other, old):
        path.write_bytes(b"")
    os.utime(old, (time.time() - 15 * 86400,) * 2)
    save(store, "key", FACTS, tables())
    assert list(mine.parent.iterdir()) == [other]


@pytest.mark.fault("6k", "a file is in the place of the store", "one line that says what to do")
def test_a_store_that_is_a_file_is_reported_in_one_line(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with refused("choose a folder that can be written"):
        save(tmp_path / "file", "key", FACTS, tables())


@pytest.mark.fault(
    "3f", "the disk is full while a trained trial is stored", "one line; the results that were stored stay"
)
def test_a_full_disk_is_reported_and_leaves_the_old_result_alone(store, kept, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_parquet", full)
    with refused("No space left on device"):
        save(store, "new", FACTS, tables())
    assert [folder.name for folder in kept.parent.iterdir()] == ["key"]


@pytest.fixture
def mounted(tmp_path):
    """Mount a file as a disk, formatted if it is new; root only."""
    done = []

    def mount(disk):
        folder = tmp_path / f"on {disk.name}"
        folder.mkdir()
        make = [] if disk.exists() else [["truncate", "-s", "64M", disk], ["mkfs.ext4", "-q", disk]]
        for command in (*make, ["mount", "-o", "loop", disk, folder]):
            try:
                subprocess.run(command, check=True, capture_output=True)
            except (OSError, subprocess.CalledProcessError) as error:
                pytest.skip(f"no disk of our own can be mounted here: {error}")
        done.append(folder)
        return folder

    yield mount
    for folder in done:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.fault("1p", "the power is cut as soon as a trial is stored", "the trial is there, whole")
def test_a_result_survives_a_power_cut_as_soon_as_it_is_stored(tmp_path, mounted):
    disk = tmp_path / "disk"
    save(mounted(disk) / "out" / "store", "key", FACTS, tables())
    shutil.copyfile(disk, tmp_path / "cut")  # what has reached the disk by now
    assert holds(mounted(tmp_path / "cut") / "out" / "store", "key")


@pytest.mark.fault("5a", "two runs train the same trial at once", "the first result is kept, whole")
def test_a_result_that_appeared_meanwhile_is_left_alone(store, monkeypatch):
    # Another process finishes the same trial between our look and our renaming.
    rename, done = os.rename, []

    def rename_late(source, target):
        if str(source).endswith(".tmp") and not done:
            done.append(True)
            save(store, "key", {"note": "the other's"}, tables())
        rename(source, target)

    monkeypatch.setattr(os, "rename", rename_late)
    save(store, "key", {"note": "ours"}, tables())
    assert read(store, "key")[0]["note"] == "the other's"
    assert [folder.name for folder in (store / "trials").iterdir()] == ["key"]


def test_a_result_that_another_process_replaces_meanwhile_is_no_error(store, kept, monkeypatch):
    # It sets the old result aside just before we do.
    rename, done = os.rename, []

    def rename_late(source, target):
        if not done:
            done.append(True)
            rename(source, f"{source}.replaced-by-the-other")
        rename(source, target)

    monkeypatch.setattr(os, "rename", rename_late)
    save(store, "key", {"note": "ours"}, tables())
    assert read(store, "key")[0]["note"] == "ours"


@pytest.mark.fault("6l", "a damaged result cannot be renamed", "one line with the reason")
def test_a_damaged_result_that_cannot_be_set_aside_is_reported(store, kept, monkeypatch):
    def denied(source, target):
        raise PermissionError(13, "Permission denied")

    truncate(kept / "trial.json")
    monkeypatch.setattr(os, "rename", denied)
    with refused("Permission denied"):
        holds(store, "key")


@pytest.fixture(scope="module")
def model():
    import keras

    from brainlib.models.layers import InputScaling

    keras.utils.set_random_seed(0)
    layers = [InputScaling("unit"), keras.layers.Flatten(), keras.layers.Dense(2)]
    return keras.Sequential([keras.Input((4, 4, 1)), *layers])


PIXELS = np.arange(32, dtype=np.float32).reshape(2, 4, 4, 1)


@pytest.mark.slow
def test_a_model_comes_back_with_the_same_answers(store, model):
    save(store, "key", FACTS, tables(), model)
    assert holds(store, "key", model=True)
    loaded = load_model(store, "key")
    np.testing.assert_array_equal(loaded.predict(PIXELS, verbose=0), model.predict(PIXELS, verbose=0))


def test_a_result_without_a_model_is_held_only_for_who_needs_none(store, kept, printed):
    assert holds(store, "key")
    assert not holds(store, "key", model=True)
    assert kept.exists() and not printed  # nothing is wrong with it
    with refused():
        load_model(store, "key")


@pytest.mark.fault("4f", "one bit of a trained model is changed", "said; set aside, not deleted; trained again")
@pytest.mark.slow
@pytest.mark.parametrize("damage", [truncate, flip_a_bit, os.unlink])
def test_a_damaged_model_is_not_loaded_and_is_trained_again(store, model, printed, damage):
    save(store, "key", FACTS, tables(), model)
    damage(store / "trials" / "key" / "model.keras")
    with refused():
        load_model(store, "key")
    assert not holds(store, "key", model=True)
    assert len(printed) == 1

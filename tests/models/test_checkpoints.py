"""A checkpoint comes back as it was written, or is not used; it costs little, and no training fails because of it."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from brainlib import progress
from brainlib.models import build, checkpoints, training
from brainlib.models.backbones import Weights
from brainlib.models.checkpoints import Checkpoint

SCORES = [[0.7, 0.5, 0.69, 0.5, 12.3], [1 / 3, 0.625, float("nan"), 0.75, 0.1]]
OTHERS = [np.float32([[0.1], [0.9]]), np.float32([[0.2], [0.8]])]
SHAPES = [each.shape for each in OTHERS]


class Variable:
    """An array that is assigned, such as a variable of Keras."""

    def __init__(self, value):
        self.value = np.array(value)

    shape = property(lambda self: self.value.shape)

    def __array__(self, dtype=None, copy=None):
        return self.value

    def assign(self, value):
        self.value = value


def variables(seed=1):
    """A kernel, the number of steps, the state of a generator, and a kernel without elements."""
    draw = np.random.default_rng(seed)
    kernel = np.moveaxis(draw.normal(size=(3, 4, 2)).astype(np.float32), 0, 1)  # not contiguous
    state = draw.integers(0, 2**32, 2, np.uint32)
    return [Variable(each) for each in (kernel, np.int64(seed + 2**40), state, np.zeros((0, 3), np.float32))]


def values(each):
    return [np.asarray(variable).tobytes() for variable in each]


@pytest.fixture
def lines(monkeypatch):
    printed = []
    monkeypatch.setattr(progress, "log", printed.append)
    return printed


@pytest.fixture
def kept(tmp_path):
    checkpoint = Checkpoint(tmp_path / "unfinished" / "key", "key", 0)
    checkpoint.write(SCORES, [*variables(), *OTHERS])
    return checkpoint


def test_what_was_written_comes_back_bit_for_bit(kept, lines):
    fresh = variables(seed=2)
    saved = Checkpoint(kept.path, "key").read(5, 5)
    np.testing.assert_array_equal(saved.scores, SCORES)
    others = saved.restore(fresh, SHAPES)
    assert values(fresh) == values(variables())
    assert all(one.tobytes() == two.tobytes() for one, two in zip(others, OTHERS, strict=True))
    assert [path.name for path in kept.path.parent.iterdir()] == ["key"] and lines == []


def test_a_training_without_a_checkpoint_begins_without_a_word(tmp_path, lines):
    assert Checkpoint(tmp_path / "none", "key").read(5, 5) is None and lines == []


def rewritten(change):
    """Change the line of JSON, and let the sum fit again."""

    def rewrite(path):
        line, rest = path.read_bytes()[32:].split(b"\n", 1)
        content = change(line) + b"\n" + rest
        path.write_bytes(hashlib.sha256(content).digest() + content)

    return rewrite


def header(**changes):
    return rewritten(lambda line: json.dumps({**json.loads(line), **changes}).encode())


def summed(content):
    return lambda path: path.write_bytes(hashlib.sha256(content).digest() + content)


class Evil:
    def __reduce__(self):
        return os._exit, (1,)


HOSTILE = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "half zero": lambda path: path.write_bytes(path.read_bytes()[:-40].ljust(path.stat().st_size, b"\0")),
    "no content": summed(b""),
    "pickle": summed(pickle.dumps(Evil())),
    "not JSON": rewritten(lambda line: b"\xff\xfe"),
    "nested": rewritten(lambda line: b"[" * 100_000),
    "list": rewritten(lambda line: b"[]"),
    "no owner": rewritten(lambda line: b"{}"),
    "other training": header(owner={"format": 1, "key": "other"}),
    "no epoch": header(scores=[]),
    "too many epochs": header(scores=SCORES * 3),
    "too few scores": header(scores=[[1.0]]),
    "uneven scores": header(scores=[SCORES[0], [1.0]]),
    "words": header(scores=[["a"] * 5]),
    "null": header(scores=None),
    "huge": header(scores=[[10**400] * 5]),
    "folder": lambda path: path.unlink() or path.mkdir(),
    "pipe": lambda path: path.unlink() or os.mkfifo(path),
    "loop": lambda path: path.unlink() or path.symlink_to(path.name),
}


@pytest.mark.parametrize("damage", HOSTILE)
@pytest.mark.fault(
    "13b",
    "a checkpoint is damaged, hostile or of another training",
    "one line; the model is trained from the first epoch",
)
def test_what_does_not_verify_is_ignored_with_a_line_that_says_why(kept, lines, damage):
    HOSTILE[damage](kept.path)
    assert kept.read(5, 5) is None
    (line,) = lines
    assert line.startswith("checkpoint key ignored: ") and line.endswith("; the model is trained from the first epoch")
    assert "\n" not in line


@pytest.mark.fault("13c", "any byte of a checkpoint is changed", "it is not used")
def test_a_change_of_any_byte_is_found(kept, lines):
    whole = kept.path.read_bytes()
    for position in range(len(whole)):
        kept.path.write_bytes(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
        assert kept.read(5, 5) is None


@pytest.mark.fault("5d", "two trainings write the same checkpoint at once", "each finds one of them, whole")
def test_of_two_processes_that_train_the_same_each_finds_one_whole_checkpoint(kept, lines):
    def train(mark):
        checkpoint, found = Checkpoint(kept.path, "key", 0), []
        for _ in range(10):
            checkpoint.write([[mark] * 5], [np.full(50_000, mark, np.float32)])
            saved = checkpoint.read(5, 5)
            (values,) = saved.restore([], [(50_000,)])
            found.append((values == saved.scores[0][0]).all())
        return found

    with ThreadPoolExecutor(2) as pool:
        assert all(sum(pool.map(train, [1.0, 2.0]), []))
    assert [path.name for path in kept.path.parent.iterdir()] == ["key"] and lines == []


@pytest.mark.parametrize("name", ["tensorflow", "keras", "numpy"])
@pytest.mark.fault("13d", "a checkpoint of another version of TensorFlow, Keras or NumPy", "one line; it is not used")
def test_a_checkpoint_of_another_version_is_ignored(kept, lines, monkeypatch, name):
    version = checkpoints.version
    monkeypatch.setattr(checkpoints, "version", lambda each: "0.1" if each == name else version(each))
    assert Checkpoint(kept.path, "key").read(5, 5) is None
    assert "of another training or of other versions" in lines[0]


@pytest.mark.parametrize("shapes", [SHAPES[:1], [*SHAPES, (1,)], [(2, 1), (2**40, 2**40)]])
def test_arrays_of_other_sizes_change_nothing(kept, shapes):
    fresh = variables(seed=2)
    assert kept.read(5, 5).restore(fresh, shapes) is None
    assert values(fresh) == values(variables(seed=2))


@pytest.mark.parametrize(("every", "written"), [(0, [10, 20, 30, 40, 100, 110]), (25, [30, 110]), (1000, [])])
def test_pauses_are_as_long_as_asked_and_fifty_times_what_writing_took(tmp_path, monkeypatch, every, written):
    clock, done = [0.0], []
    monkeypatch.setattr(checkpoints.time, "perf_counter", lambda: clock[-1])

    def arrays():
        done.append(clock[-1])
        clock.append(clock[-1] + 1.5)  # seconds that writing takes: 75 until the next one
        yield OTHERS[0]

    checkpoint = Checkpoint(tmp_path / "key", "key", every)
    for now in (10, 20, 30, 40, 100, 110):
        clock.append(now)
        checkpoint.write(SCORES, arrays())
    assert done == written


@pytest.mark.fault(
    "3g",
    "the disk is full while a checkpoint is written",
    "said once; training goes on, and the checkpoint before it stays",
)
def test_a_full_disk_is_told_once_and_leaves_the_checkpoint_before_it_alone(kept, lines, monkeypatch):
    before = kept.path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        for _ in range(3):
            kept.write(SCORES[:1], variables())
    assert [path.name for path in kept.path.parent.iterdir()] == ["key"]
    assert kept.path.read_bytes() == before
    assert len(lines) == 1 and "No space left on device" in lines[0] and isinstance(lines[0], str)
    kept.write(SCORES[:1], variables())  # when space was made
    assert kept.path.read_bytes() != before


@pytest.mark.parametrize(
    ("epochs_told", "why"),
    [([(0, 1), (0, 2), (1, 1)], "arrays"), ([(0, 1), (0, 3)], "epochs"), ([(0, 1), (2, 1)], "epochs")],
)
def test_a_training_begins_anew_where_a_checkpoint_is_that_of_another_network(epochs_told, why, tmp_path, lines):
    draw = np.random.default_rng(0)
    pixels, targets = draw.integers(0, 256, (12, 8, 8, 1), np.uint8), np.float32(np.arange(12) % 2)[:, None]
    task = training.Task(pixels, targets, np.arange(8), np.arange(8, 12), "noise")
    phases = (training.Phase("a", "all", 2, 1e-2), training.Phase("b", "all", 2, 1e-2))

    def fitted(checkpoint):
        training.prepare(0)
        network = build.build_network(build.ModelSpec("cnn", 1, dense=(4,), head_dropout=(0.2,)), 8, 1, Weights("none"))
        options = {"batch_size": 4, "seed": 0, "store": tmp_path}
        return training.fit(network, task, phases, checkpoint=checkpoint, **options)

    forged = Checkpoint(tmp_path / "key", "key", 0)
    forged.write([[*epoch, *[0.5] * 5] for epoch in epochs_told], [np.zeros(10_000, np.uint8)])
    (_, expected), (epochs, predicted) = fitted(None), fitted(forged)
    np.testing.assert_array_equal(predicted, expected)
    assert [epoch.number for epoch in epochs] == [1, 2, 1, 2]
    assert len(lines) == 1 and f"its {why} are not those of this training" in lines[0]
    # The one that it has written meanwhile is of its last epoch: nothing is left to train.
    lines.clear()
    more, predicted = fitted(forged)
    np.testing.assert_array_equal(predicted, expected)
    assert (more, lines) == (epochs, [])

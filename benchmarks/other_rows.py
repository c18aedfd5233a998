"""What `bench` measures besides training: heat maps, the audit, whole runs, the program."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from measuring import Busy, fastest, row, seconds_of, times_as_fast
from training_rows import Arm

NICKPARVAR = 7023  # images
PART = 39  # phantoms drawn at a time


def heat_maps() -> Iterator[dict]:
    """Compare Grad-CAM at batch 32 with `predict` and, where it is installed, with tf-keras-vis."""
    for paper, name, n in (("jardim", "cnn", 128), ("lu", "mobilenet", 64), ("jardim", "transfer", 32)):
        yield from _heat_maps(Arm(paper, name, n, 0))


def _heat_maps(arm):
    from brainlib.models import gradcam

    model, images = arm.built().model, arm.pixels.astype(np.float32)
    target = np.zeros(len(images), int) if arm.outputs == 1 else arm.targets.argmax(axis=1)
    ways = {
        "ours": lambda: gradcam.grad_cam(model, images, target=target),
        "all": lambda: gradcam.grad_cam(model, images, target=target, methods=gradcam.METHODS),
        "predict": lambda: model.predict(images, batch_size=32, verbose=0),
    }
    if importlib.util.find_spec("tf_keras_vis"):
        ways["vis"] = _tf_keras_vis(model, images, target)
    for way in ways.values():
        way()  # graphs are traced
    spent = fastest(4, **{name: lambda way=way: seconds_of(way) for name, way in ways.items()})
    what = f"heat maps of {arm.spec.backbone or 'the CNN'}, {arm.size} pixels"
    value = spent["ours"] / spent["predict"]
    yield row(f"{what}, against predict", value, "times a predict", "<= 1.15", spent["ours"], spent["predict"])
    four, value = f"{what}, four methods against Grad-CAM", spent["all"] / spent["ours"]
    yield row(four, value, "times a Grad-CAM", "<= 1.3", spent["all"], spent["ours"])
    if "vis" in spent:
        yield times_as_fast(f"{what}, against tf-keras-vis", spent["ours"], spent["vis"], ">= 3")


def _tf_keras_vis(model, images, target):
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
    from tf_keras_vis.utils.scores import CategoricalScore

    theirs = Gradcam(model, model_modifier=ReplaceToLinear())

    def explain():
        for start in range(0, len(images), 32):
            part = slice(start, start + 32)
            theirs(CategoricalScore(target[part].tolist()), images[part])

    return explain


def audit() -> Iterator[dict]:
    """Time the audit of Nickparvar's images, or of as many phantoms where BRAINLIB_DATA has none."""
    data = os.environ.get("BRAINLIB_DATA", "")
    with tempfile.TemporaryDirectory() as folder:
        if data and (Path(data) / "nickparvar").is_dir():
            of, target = "Nickparvar's 7023 images", ["nickparvar", "--data", data]
        else:
            of, target = f"{NICKPARVAR} phantoms of 128 pixels", [str(_phantoms(Path(folder)))]
        yield row(f"audit of {of}", seconds_of(_command, "audit", *target), "s", "<= 45")


def _phantoms(folder):
    """Write as many phantoms as Nickparvar has images, drawn in parts on all cores."""
    with ProcessPoolExecutor() as pool:
        list(pool.map(_draw, [folder] * -(-NICKPARVAR // PART), range(-(-NICKPARVAR // PART))))
    return folder


def _draw(folder, part):
    from PIL import Image

    from brainlib.data.phantoms.draw import make_phantoms

    n = min(PART, NICKPARVAR - part * PART)
    made = make_phantoms(n, size=128, seed=part, altered_duplicates=n // 10)
    for number, (pixels, kind) in enumerate(zip(made.images, made.table["kind"], strict=True)):
        (folder / kind).mkdir(exist_ok=True)
        Image.fromarray(pixels).save(folder / kind / f"{part}_{number}.png")


def smoke() -> Iterator[dict]:
    """Time a run of all papers in smoke on phantoms, and its repeat."""
    yield from _run_twice("smoke", 150)


def demo() -> Iterator[dict]:
    """Time a run of all papers in demo on phantoms, and its repeat."""
    yield from _run_twice("demo", 300)


def _run_twice(profile, target):
    with tempfile.TemporaryDirectory() as out:
        arguments = ["run", "--profile", profile, "--data", "phantoms", "--out", out]
        busy = Busy()
        yield row(f"{profile} run of all papers", seconds_of(_command, *arguments), "s", f"<= {target}")
        yield row(f"{profile} run of all papers, cores busy of {os.cpu_count()}", busy.cores(), "cores")
        yield row(f"{profile} run, repeated", seconds_of(_command, *arguments), "s", "<= 30")


def _command(*arguments: str) -> None:
    """Run the command line of the brainlib that this process would import."""
    subprocess.run([sys.executable, "-P", "-m", "brainlib", *arguments], check=True, stdout=subprocess.DEVNULL)


def program() -> Iterator[dict]:
    """Time the start of the program in a browser; see `program.py`."""
    script = [sys.executable, str(Path(__file__).with_name("program.py")), "--answers", "5"]
    printed = subprocess.run(script, check=True, stdout=subprocess.PIPE, text=True).stdout
    for what, name, target in (("page shown", "page", "<= 4"), ("first heat map", "first heat map", "<= 7")):
        found = re.search(rf"{what} after ([0-9.]+) s", printed)
        yield row(f"program, from its address to the {name}", float(found[1]), "s", target)


ROWS = (heat_maps, audit, smoke, program)
ASKED_FOR = (demo,)  # takes as long as all others

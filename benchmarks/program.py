"""From ./run_all.sh app to the first answer, and how long each next one takes.

    python benchmarks/program.py --size 240 --answers 20

A CNN of jardim's is trained for one epoch on phantoms of this size (its weights do not matter here).
The program is then started as a person starts it and driven by Chromium: its address is printed, the page
shows the model, an uploaded image has its probabilities and heat map, and then its nearest training images. The
next answers are timed likewise, and once more within the program, without browser and connection.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

import brainlib
from brainlib.app import widgets
from brainlib.study.study import Study
from brainlib.trials import run

ROOT = Path(brainlib.__file__).parents[1]  # as imported: it may be that of another checkout


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=240, help="height and width of the model's images")
    parser.add_argument("--answers", type=int, default=10)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as out:
        images = prepare(Path(out), arguments.size)
        in_browser(Path(out), images[: arguments.answers + 1])
        within(Path(out), images[: arguments.answers + 1])


def prepare(out: Path, size: int) -> list[Path]:
    """Train a model; returns image files to show to it."""
    study = Study("jardim", profile="demo", data="phantoms", arms=["cnn"], out=str(out))
    (final,) = [trial for trial in study.trials() if trial.stage == "final"]
    short = tuple(dataclasses.replace(phase, epochs=1) for phase in final.phases)
    run.run_trials([dataclasses.replace(final, size=size, phases=short)], study.dataset, study.options.store)
    return [study.dataset.root / path for path in study.dataset.table["path"]]


def in_browser(out: Path, files: list[Path]) -> None:
    """Time what a person sees."""
    started = time.perf_counter()
    command = [str(ROOT / "run_all.sh"), "app", "--out", str(out), "--no-browser"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            address = next(line for line in process.stderr if line.startswith("http")).strip()
            print(f"address printed after {time.perf_counter() - started:.1f} s; from it on:")
            started = time.perf_counter()
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                page = browser.new_page()
                page.set_default_timeout(120_000)
                page.goto(address)
                page.get_by_label("Your own image").wait_for()
                print(f"page shown after {time.perf_counter() - started:.1f} s")
                spent = []
                for number, file in enumerate(files):
                    clicked = time.perf_counter()
                    page.get_by_label("Your own image").set_input_files(file)
                    page.locator(f"img[alt*='over {file.name}']").wait_for()
                    overlaid = time.perf_counter()
                    page.get_by_role("status").filter(has_text="…").wait_for(state="detached")
                    spent.append((overlaid - clicked, time.perf_counter() - clicked))
                    if not number:
                        print(
                            f"first heat map after {overlaid - started:.1f} s, all of its answer "
                            f"after {time.perf_counter() - started:.1f} s"
                        )
                browser.close()
        finally:
            process.terminate()
    middle = np.median(spent[1:], axis=0)
    print(f"next answers: heat map after {middle[0]:.2f} s, all after {middle[1]:.2f} s (medians of {len(spent) - 1})")


def within(out: Path, files: list[Path]) -> None:
    """Time probabilities with heat map, and all of an answer, within the program."""
    os.environ.pop("BRAINLIB_DATA", None)
    shown, spent = widgets.Program(str(out), "phantoms"), []
    shown._shown()  # as a page does
    shown._loading.join()
    for file in files:
        content, started = file.read_bytes(), time.perf_counter()
        shown.chooser.name, shown.chooser.content, shown.chooser.size = file.name, content, len(content)
        shown.chooser.count += 1
        whole, started = time.perf_counter() - started, time.perf_counter()
        pixels = shown.viewer.pixels(shown.image)
        target = int(shown.viewer.probabilities(pixels).argmax())
        shown.viewer.heat_map(pixels, target)
        spent.append((time.perf_counter() - started, whole))
    middle = np.median(spent[1:], axis=0)
    print(f"within the program: probabilities and heat map {middle[0]:.3f} s, all of an answer {middle[1]:.3f} s")


if __name__ == "__main__":
    main()

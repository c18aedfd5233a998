"""Fixtures and markers that every test file shares."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from made_up import ALL_NORMAL, FOLDS, TUNED, result, result_of_classes, study_of

from brainlib.study.results import Results

#: Fixtures that train, run a notebook or open a browser: what uses one is slow.
SLOW = {"browser", "failed", "ran", "served", "trained"}
#: Files that take longest: begun last, one of them would leave the other process without work.
FIRST = ("test_notebooks.py", "test_real_images.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if SLOW & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item.path.name not in FIRST)
    if not os.environ.get("BRAINLIB_DATA"):
        for item in items:
            if item.get_closest_marker("real_data"):
                item.add_marker(pytest.mark.skip(reason="BRAINLIB_DATA, the folder of real images, is unset"))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real images, one folder a set; for tests marked ``real_data``."""
    return Path(os.environ["BRAINLIB_DATA"])


@pytest.fixture(scope="session")
def cheng_dir(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a tenth of Cheng's set, 307 slices, as published; for tests marked ``real_data``."""
    if not (data_dir / "cheng_tables").is_dir():
        pytest.skip(f"{data_dir} has no cheng_tables, of which Cheng's set is assembled")
    folder = tmp_path_factory.mktemp("cheng")
    subprocess.run([sys.executable, data_dir / "build_cheng.py", folder, "--every", "10"], check=True)
    return folder


@pytest.fixture(scope="session")
def weights_dir() -> Path:
    """The folder of pretrained weight files; for tests marked ``real_data``."""
    if not os.environ.get("BRAINLIB_WEIGHTS"):
        pytest.skip("BRAINLIB_WEIGHTS, the folder of pretrained Keras weight files, is unset")
    return Path(os.environ["BRAINLIB_WEIGHTS"])


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """An empty store of its own for each test."""
    return tmp_path / "store"


@pytest.fixture(scope="session")
def browser():
    """Chromium or Chrome, driven by Playwright; without one the test is skipped."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no browser on this machine: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # As root, as in a container, Chromium starts without its sandbox only.
        running = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def jardim(tmp_path):
    study = study_of("jardim", tmp_path)
    trained = {}
    for trial in study.trials():
        fold = trial.split.fold
        counts = FOLDS[fold] if fold else (297, 0, 2, 301)
        if trial.arm == "transfer":
            # Two errors fewer in each fold, a tenth of a percentage point more in the mean.
            tp, fn, fp, tn = counts
            counts = (tp + 1, fn - 1, fp - 1, tn + 1) if fold else (292, 5, 7, 296)
        trained[trial.scenario, trial.arm, trial.stage] = result(trial, counts)
    return Results(study, trained)


@pytest.fixture
def lu(tmp_path):
    study = study_of("lu", tmp_path, arms=["mobilenet"], scenarios=["four"])
    (trial,) = study.trials()
    tables = {"transfer learning": ALL_NORMAL, "fine-tuning": TUNED}
    return Results(study, {("four", "mobilenet", "final"): result_of_classes(trial, tables)})


@pytest.fixture
def hajhashem(tmp_path):
    study = study_of("hajhashem", tmp_path)
    (trial,) = study.trials()
    # The only confusion matrix of 51 images that gives the four printed figures.
    return Results(study, {("", "resnet18", "final"): result(trial, (23, 2, 6, 20))})

"""How often 95 % intervals hold the true score, on the duplicate groups of the real sets.

    python benchmarks/coverage.py --out docs/data/coverage.json

Test images are drawn from a set as the papers draw them, so that their groups (docs/duplicates) have the real sizes. An
image's score is the sum of a part that its group shares and one of its own, both normal; `RHO` is the shared part of
the variance. Half of the images are positive. The true score is drawn within a tenth of its distance from 1, since the
coverage of a count jumps with it (Brown, Cai and DasGupta, Statistical Science 2001, 16:101).
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
from scipy import special

from brainlib import progress
from brainlib.data.registry import info_of
from brainlib.stats.comparisons import delong_test, mcnemar
from brainlib.stats.estimates import estimate
from brainlib.stats.predictions import Decisions

ROOT = Path(__file__).resolve().parents[1]
# The papers' numbers of test images, each of the set that it is drawn from, and all of them from the set with most
# duplicates.
DRAWN = (("navoneel", 51), ("sartaj", 141), ("sartaj", 327), *(("br35h", n) for n in (51, 141, 327, 600)))
RHO = (0.3, 0.6, 0.9)
SCORES = (0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
METRICS = ("accuracy", "sensitivity", "f1", "auc")
DIFFERENCES = ("accuracy difference", "AUC difference")
IMAGE_SETS = 20  # of each cell: its runs are divided among so many draws of test images


def main() -> None:
    """Read the arguments, simulate, write JSON: share of covering intervals by set, n, rho, score and metric."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=600)
    parser.add_argument("--out", default="coverage.json")
    arguments = parser.parse_args()
    cells = [(name, n, rho, score) for name, n in DRAWN for rho in RHO for score in SCORES]
    rows = []
    with progress.shown(f"{len(cells)} cells") as on_progress:
        for done, cell in enumerate(cells):
            on_progress(done / len(cells), str(cell))
            rows += covered(*cell, arguments.runs)
    about = {"runs": arguments.runs, "image_sets": IMAGE_SETS}
    lines = ",\n  ".join(json.dumps(row) for row in rows)
    text = f'{{"about": {json.dumps(about)},\n "rows": [\n  {lines}\n]}}\n'
    Path(arguments.out).write_text(text, encoding="utf-8")


def group_sizes(name: str) -> np.ndarray:
    """Sizes of the duplicate groups of a set, single images included."""
    with (ROOT / "docs" / "duplicates" / f"{name}.csv").open(encoding="utf-8") as file:
        sizes = list(Counter(row["group"] for row in csv.DictReader(file)).values())
    return np.array(sizes + [1] * (info_of(name).total - sum(sizes)))


def draw(sizes: np.ndarray, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw n images, half of them positive: truth, bool (n,), and group, int (n,)."""
    order = rng.permutation(len(sizes))
    positive = np.zeros(len(sizes), bool)
    positive[order[np.cumsum(sizes[order]) <= sizes.sum() / 2]] = True
    group = np.repeat(np.arange(len(sizes)), sizes)
    of_class = [np.flatnonzero(positive[group] == each) for each in (False, True)]
    counts = n - n // 2, n // 2
    chosen = np.concatenate([rng.choice(own, k, replace=False) for own, k in zip(of_class, counts, strict=True)])
    return positive[group[chosen]], group[chosen]


def covered(name: str, n: int, rho: float, score: float, runs: int) -> list[dict]:
    """Count how often each interval holds the true value, with groups known and with images taken as independent."""
    sizes, held, widths = group_sizes(name), Counter(), Counter()
    rng = np.random.default_rng([n, round(100 * rho), round(1000 * score)])
    for run in range(runs):
        if run % (runs // IMAGE_SETS) == 0:
            truth, groups = draw(sizes, n, rng)
        true = 1 - (1 - score) * rng.uniform(0.9, 1.1)
        first, second = (_noise(groups, rho, rng) for _ in range(2))
        other = np.sqrt(0.5) * (first + second)  # a second model that errs on the same images in part
        for metric in METRICS:
            apart = (np.sqrt(2) if metric == "auc" else 2) * special.ndtri(true)
            found = estimate(metric, _decisions(truth, apart, first, groups))
            naive = found.naive or found
            _count(held, widths, metric, true, (found, naive))
        apart = 2 * special.ndtri(true)
        right = [(truth * apart + noise > apart / 2) == truth for noise in (first, other)]
        _count(held, widths, DIFFERENCES[0], 0, (mcnemar(*right, groups), mcnemar(*right)))
        scores = [np.sqrt(2) * special.ndtri(true) * truth + noise for noise in (first, other)]
        _count(held, widths, DIFFERENCES[1], 0, (delong_test(truth, *scores, groups), delong_test(truth, *scores)))
    about = {"set": name, "n": n, "rho": rho, "score": score}
    return [
        about
        | {"metric": metric}
        | {kind: held[metric, kind] / runs for kind in ("groups", "naive")}
        | {f"width {kind}": round(widths[metric, kind] / runs, 5) for kind in ("groups", "naive")}
        for metric in (*METRICS, *DIFFERENCES)
    ]


def _noise(groups, rho, rng):
    shared = rng.normal(size=groups.max() + 1)[groups]
    return np.sqrt(rho) * shared + np.sqrt(1 - rho) * rng.normal(size=len(groups))


def _decisions(truth, apart, noise, groups):
    """Predictions whose accuracy, sensitivity and F1 are all Phi(apart / 2), and their AUC Phi(apart / sqrt(2))."""
    score = apart * truth + noise - apart / 2
    probability = special.expit(score)
    of_classes = np.stack([1 - probability, probability], axis=1)
    return Decisions(("no", "yes"), 1, None, truth.astype(int), (score > 0).astype(int), of_classes, groups)


def _count(held, widths, metric, true, found):
    for kind, each in zip(("groups", "naive"), found, strict=True):
        # Without a limit, such as of two models that agree on everything, nothing is excluded.
        held[metric, kind] += not (true < each.low - 1e-12 or true > each.high + 1e-12)
        widths[metric, kind] += 0 if np.isnan(each.high - each.low) else each.high - each.low


if __name__ == "__main__":
    main()

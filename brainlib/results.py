"""What a study's predictions say, in the order in which a reader asks.

`Results` holds the trained trials of one paper and answers from their stored predictions: scores
per fold beside the printed ones, the t-tests, the images held out, heat maps, training times.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from brainlib import claims, stats
from brainlib.claims import Estimate, Printed, printed_number
from brainlib.errors import UsageError
from brainlib.gradcam import overlay
from brainlib.metrics import confusion, predicted_labels
from brainlib.study import Study
from brainlib.tables import Table, percent
from brainlib.trials import TrialResult, heat_maps


class Results:
    """The trained trials of a study.

    Parameters
    ----------
    study : Study
    results : dict of TrialResult
        As `Study.run` returns them; by default it is called.
    """

    def __init__(self, study: Study, results: dict[tuple[str, str], TrialResult] | None = None):
        self.study = study
        self.trials = study.run() if results is None else results
        self.folds = sorted({stage for _, stage in self.trials if stage.startswith("fold")})
        self._estimates: dict[tuple, Estimate | None] = {}

    def predictions(self, arm: str, stage: str) -> pd.DataFrame:
        """What an arm said of the images it was judged on, in "fold k" or "test"."""
        result = self.trials[arm, "final" if stage == "test" else stage]
        return result.judged(self.study.paper.protocol.epoch.value)

    def estimate(self, arm: str, stage: str, metric: str, over: str = "value", label=None):
        """A score with its 95 % interval.

        Parameters
        ----------
        arm : str
        stage : str
            "fold k", "folds" or "test".
        metric : str
            A name of `metrics.METRICS`.
        over : {"value", "mean", "variance", "sd"}
        label : str, optional
            The class that is scored; by default the positive one.

        Returns
        -------
        Estimate
        """
        key = (arm, stage, metric, over, label)
        if key not in self._estimates:
            data = self.study.paper.data
            stages = self.folds if stage == "folds" else [stage]
            self._estimates[key] = claims.fold_estimate(
                metric,
                over,
                [self.predictions(arm, each) for each in stages],
                data.classes,
                label or data.positive,
                self._threshold,
                seed=self.study.options.seed,
            )
        return self._estimates[key]

    @property
    def _threshold(self):
        threshold = self.study.paper.protocol.threshold
        return threshold.value if threshold else None

    def confusion(self, arm: str, stage: str = "test") -> pd.DataFrame:
        """Counts of images, rows true by columns predicted."""
        data = self.study.paper.data
        table = self.predictions(arm, stage)
        return confusion(table, data.classes, data.positive, self._threshold)

    def histories(self, arm: str) -> dict[str, pd.DataFrame]:
        """Learning curves of an arm's folds, by name."""
        return {fold: self.trials[arm, fold].history for fold in self.folds}

    def test_predictions(self) -> dict[str, pd.DataFrame]:
        """What each arm's final model said of the images held out, by the arm's title."""
        return {self.study.title(arm): self.predictions(arm, "test") for arm in self._arms}

    def test_estimates(self, metrics) -> dict[str, dict[str, Estimate]]:
        """Scores on the images held out, by title of the arm and metric."""
        return {
            self.study.title(arm): {name: self.estimate(arm, "test", name) for name in metrics}
            for arm in self._arms
        }

    def test_printed(self, metrics) -> dict[str, dict[str, float]]:
        """What the paper prints for the same scores, as fractions."""
        found = {arm: {name: self.printed(arm, "test", name) for name in metrics}
                 for arm in self._arms}
        return {
            self.study.title(arm): {name: p.value for name, p in row.items() if p}
            for arm, row in found.items()
        }

    @property
    def _arms(self):
        return list(self.study.paper.arms)

    def printed(self, arm: str, stage: str, metric: str, over: str = "value") -> Printed | None:
        """What the paper prints for a score, where it does; its first claim."""
        for claim in self.study.paper.claims:
            same = claim.metric and (claim.metric.name, claim.metric.over) == (metric, over)
            if same and (claim.arm, claim.stage) == (arm, stage) and claim.metric.label is None:
                return printed_number(claim.printed, claim.unit)
        return None

    def fold_table(self, arm: str, metrics=("accuracy", "sensitivity", "specificity")) -> Table:
        """Scores of each fold, their mean and variance, beside the printed ones."""
        rows = []
        steps = [(stage, stage, "value") for stage in self.folds]
        steps += [("mean", "folds", "mean"), ("variance (points²)", "folds", "variance")]
        for name, stage, over in steps:
            shown = _spread if over == "variance" else percent
            row = {"": name}
            for metric in metrics:
                printed = self.printed(arm, stage, metric, over)
                row[metric] = shown(self.estimate(arm, stage, metric, over).value)
                row[f"{metric}, printed"] = shown(printed.value if printed else math.nan)
            rows.append(row)
        images = sum(len(self.predictions(arm, fold)) for fold in self.folds)
        caption = f"{self.study.title(arm)}: {len(self.folds)} folds, {images} images validated."
        return Table(pd.DataFrame(rows), caption)

    def t_tests(self, first: str, second: str, metric: str = "accuracy") -> Table:
        """t-tests of two arms over the folds: on these folds and on the printed ones."""
        rows = []
        for source, a, b in (
            ("these folds", *(self.fold_values(arm, metric) for arm in (first, second))),
            ("printed folds", *(self._printed_folds(arm, metric) for arm in (first, second))),
        ):
            if any(map(math.isnan, a + b)):
                continue  # a fold without a printed or a defined score
            tests = (
                stats.paired_t(a, b),
                stats.unpaired_t(a, b),
                stats.corrected_resampled_t(a, b, test_share=1 / len(a)),
            )
            for test in tests:
                rows.append(
                    {
                        "on": source,
                        "test": test.name,
                        "t": f"{test.t:.4f}",
                        "df": f"{test.df:g}",
                        "p": f"{test.p:.4f}",
                        "difference": f"{100 * test.difference:+.2f} points",
                        "95 % interval": f"{100 * test.low:+.2f} to {100 * test.high:+.2f}",
                        "assumes": test.assumes,
                    }
                )
        titles = [self.study.title(arm) for arm in (first, second)]
        caption = f"{metric.capitalize()} of {titles[0]} minus that of {titles[1]}, fold by fold."
        return Table(pd.DataFrame(rows), caption)

    def fold_values(self, arm: str, metric: str) -> list[float]:
        """A score of an arm in each fold."""
        return [self.estimate(arm, fold, metric).value for fold in self.folds]

    def _printed_folds(self, arm, metric):
        found = [self.printed(arm, fold, metric) for fold in self.folds]
        return [printed.value if printed else math.nan for printed in found]

    def score_table(self, metrics: tuple[str, ...], stage: str = "test") -> Table:
        """Scores of every arm on the held-out images, with intervals, beside the printed ones."""
        rows = []
        for arm in self.study.paper.arms:
            for metric in metrics:
                estimate = self.estimate(arm, stage, metric)
                printed = self.printed(arm, stage, metric)
                rows.append(
                    {
                        "arm": self.study.title(arm),
                        "metric": metric,
                        "printed": percent(printed.value if printed else math.nan),
                        "reproduced": percent(estimate.value),
                        "95 % interval": _interval(estimate),
                        "n": estimate.n,
                        "interval by": estimate.method,
                    }
                )
        images = len(self.predictions(next(iter(self.study.paper.arms)), stage))
        return Table(pd.DataFrame(rows), f"Scores on {images} {stage} images.")

    def best_epoch_table(self) -> Table:
        """What picking the best epoch on the judged images would have printed instead."""
        rows = []
        for (arm, stage), result in self.trials.items():
            last, best = result.history.iloc[-1], result.best_epoch()
            flattered = result.history.set_index("epoch").loc[best]
            rows.append(
                {
                    "arm": self.study.title(arm),
                    "stage": stage,
                    "judged on": result.trial.watched,
                    "last epoch": percent(last["watched_accuracy"]),
                    "best epoch": percent(flattered["watched_accuracy"]),
                    "which": best,
                }
            )
        return Table(pd.DataFrame(rows), "Accuracy at the last epoch, and at the best one.")

    def time_table(self) -> Table:
        """Training time of each trial, on this machine."""
        rows = [
            {
                "arm": self.study.title(arm),
                "stage": stage,
                "training (s)": f"{result.facts['seconds']['training']:.1f}",
                "everything else (s)": f"{result.facts['seconds']['other']:.1f}",
                "epochs": len(result.history),
                "peak memory of the process (MiB)": f"{result.facts['peak_memory_mib']:.0f}",
            }
            for (arm, stage), result in self.trials.items()
        ]
        place = next(iter(self.trials.values())).facts["environment"]
        caption = f"Times on {place['processor']}, {place['cores']} cores, no GPU."
        if place["accelerators"]:
            caption = caption.replace("no GPU", f"{place['accelerators']} GPU")
        return Table(pd.DataFrame(rows), caption)

    def grad_cam_rows(self, arm: str) -> list[tuple[str, np.ndarray, dict[str, np.ndarray]]]:
        """Explain every final model on a true positive and a true negative.

        The first image of each kind, in the order of the data set, that every arm gets right;
        failing that, the first that `arm` gets right. A kind of which there is none is left out.

        Returns
        -------
        list of (str, ndarray, dict)
            What the image is and how sure each arm was; the image as the first arm saw it, uint8
            (height, width, channels); and by title of the arm its heat map over the image.
        """
        chosen = self._examples(arm)
        if not chosen:
            raise UsageError(f"{arm} gets no held-out image right: nothing to explain")
        paths = [path for _, path in chosen]
        options, positive = self.study.options, self.study.paper.data.classes[-1]
        seen, overlays, sure = {}, {}, {}
        for name in self._arms:
            result = self.trials[name, "final"]
            seen[name], maps = heat_maps(
                result, self.study.dataset, paths, options.store, scheduler=options.scheduler
            )
            overlays[name] = overlay(seen[name], maps)
            sure[name] = result.predictions.set_index("path")[f"p_{positive}"].loc[paths]
        return [
            (
                f"{kind}\n"
                + "\n".join(f"{name}: p({positive}) = {sure[name].iloc[n]:.3f}" for name in sure),
                seen[self._arms[0]][n],
                {self.study.title(name): overlays[name][n] for name in self._arms},
            )
            for n, (kind, _) in enumerate(chosen)
        ]

    def _examples(self, arm):
        data = self.study.paper.data
        right = {}
        for name in self._arms:
            table = self.predictions(name, "test")
            called = predicted_labels(table, data.classes, data.positive, self._threshold)
            right[name] = table[called == table["label"].to_numpy()]
        shared = set.intersection(*(set(table["path"]) for table in right.values()))
        chosen = []
        kinds = {"True positive": data.classes[-1], "True negative": data.classes[0]}
        for kind, label in kinds.items():
            own = right[arm][right[arm]["label"] == label]["path"]
            both = own[own.isin(shared)]
            chosen += [(kind, path) for path in list(both if len(both) else own)[:1]]
        return chosen


def _interval(estimate):
    if math.isnan(estimate.low):
        return "–"
    return f"{100 * estimate.low:.2f} to {percent(estimate.high)}"


def _spread(variance):
    return "–" if math.isnan(variance) else f"{1e4 * variance:.3f}"

"""Stored predictions of a study's trained models, and the scores that follow from them.

`Results` holds the trained trials of one paper and computes everything from their stored predictions. Scores and
claims are named by the same `Metric`, so that a printed number is compared with one of its kind.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from pydantic import ValidationError

from brainlib.data.yaml_files import first_problem
from brainlib.errors import DataError, UsageError
from brainlib.papers.printed import Printed
from brainlib.papers.schema import Metric
from brainlib.stats import estimates, intervals
from brainlib.stats.calibration import Calibration, calibration
from brainlib.stats.estimates import Estimate
from brainlib.stats.intervals import Interval
from brainlib.stats.predictions import Decisions, decide
from brainlib.trials import run
from brainlib.trials.trial import Trial, TrialResult

if TYPE_CHECKING:
    from brainlib.study.study import Study


class Results:
    """The trained trials of a study.

    Methods take an ``arm``; a ``stage``, which is "fold 1" ..., "folds", "validation" or "test"; a ``scenario``, "" in
    a paper without scenarios; and a ``phase`` of training by its name, "" for the last one.

    Attributes are the `study`; its `trials` by (scenario, arm, stage), where the stage is "fold 1" ... or "final";
    `folds`, the stages of cross-validation; and, if the options ask for them, `repeats`, results of the other seeds,
    and `retrained`, results with duplicates kept apart.
    """

    def __init__(self, study, trials: dict[tuple[str, str, str], TrialResult]):
        self.study, self.trials = study, trials
        self.folds = sorted({stage for _, _, stage in trials if stage.startswith("fold")})
        self.repeats: list[Results] = []
        self.retrained: Results | None = None
        self._known: dict[Hashable, object] = {}

    def once(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """Return what `compute` returns, called at the first request for a key and kept with these results."""
        if key not in self._known:
            self._known[key] = compute()
        return self._known[key]

    def computed(self, kind: str) -> list:
        """Return what was computed under keys (kind, ...), in the order of its computation."""
        return [value for key, value in self._known.items() if isinstance(key, tuple) and key[0] == kind]

    @cached_property
    def without_duplicates(self) -> WithoutDuplicates:
        """The same models, evaluated without the images that have a duplicate in training."""
        return WithoutDuplicates(self.study, self.trials)

    def trial(self, arm: str, stage: str = "test", scenario: str = "") -> TrialResult:
        """Return the trained model that is evaluated in a stage; `UsageError` where there is none."""
        stages = (*self.folds, "validation", "test")
        place = (scenario, arm, stage if stage in self.folds else self._final(arm, scenario))
        if stage not in stages or place not in self.trials:
            expected = f"an arm of {', '.join(self.study.arms)}, a stage of {', '.join(stages)}"
            if self.study.scenarios != ("",):
                expected += f", a scenario of {', '.join(self.study.scenarios)}"
            raise UsageError(f"expected {expected}; received {arm!r}, {stage!r}, {scenario!r}")
        return self.trials[place]

    def stages(self, stage: str) -> list[str]:
        """Return the stages that one stands for: each fold for "folds", else itself."""
        return self.folds if stage == "folds" else [stage]

    def _final(self, arm, scenario):
        """Name the trial of the model that is tested; of the folds, the best by accuracy, or the last."""
        final, epoch = self.study.paper.protocol.final, self.study.paper.protocol.epoch.value
        if final is None or final.value == "refit":
            return "final"

        def accuracy(fold):
            curve = self.trials[scenario, arm, fold].curve()["val_accuracy"]
            return curve.max() if epoch == "best" else curve.iloc[-1]

        return max(self.folds, key=accuracy) if final.value == "best_fold" else self.folds[-1]

    def predictions(self, arm: str, stage: str, scenario: str = "", phase: str = "") -> pd.DataFrame:
        """Return an arm's predictions for the images of one stage (not "folds").

        Each has path (from the root of the data set), label, part, group (duplicates and, where known, images of one
        patient), phase, and ``p_CLASS`` for each class, probabilities that sum to 1.
        """
        part = "validation" if stage in self.folds else stage

        def judged():
            epoch = self.study.paper.protocol.epoch.value
            return _grouped(self.trial(arm, stage, scenario).judged(part, phase, epoch), self.study.clusters)

        return self.once(("predictions", arm, stage, scenario, phase), judged).copy(deep=False)

    def estimate(self, arm: str, stage: str, metric: Metric | str, scenario: str = "", phase: str = "") -> Estimate:
        """Compute a score with its 95 % interval.

        A metric's name stands for the plain score; the t-test and the number of images are no scores.
        """
        metric = _metric(metric)
        place = (arm, stage, metric, scenario, phase)
        return self.once(("estimate", *place), lambda: self._estimate(*place))

    def _estimate(self, arm, stage, metric, scenario, phase):
        stages = self.stages(stage)
        if metric.name == "training_seconds" and metric.over == "mean":
            seconds = [self.trial(arm, each, scenario).facts["seconds"]["training"] for each in stages]
            return Estimate.of(sum(seconds) / len(seconds), 0, intervals.mean_interval(seconds))
        if metric.over == "epochs":
            columns = {"training_seconds": "seconds", "training_loss": "loss"}
            values = self.trial(arm, stage, scenario).curve(phase)[columns.get(metric.name, f"val_{metric.name}")]
            method = "mean over the epochs of one model, no interval"
            return Estimate(float(values.mean()), math.nan, math.nan, len(values), method)
        if metric.name in ("count", "errors"):
            return self._counted(arm, stage, metric, scenario, phase)
        tables = [self.predictions(arm, each, scenario, phase) for each in stages]
        decided = [self.decided(table, scenario, metric.label, metric.average) for table in tables]
        over = "value" if metric.over == "comparison" else metric.over
        return estimates.fold_estimate(metric.name, over, decided, self.study.options.seed)

    def _counted(self, arm, stage, metric, scenario, phase):
        """Count the images of a class that are predicted as one class, or as any but their own."""
        table = self.predicted(arm, stage, scenario, phase).query("label == @metric.label")
        counted = table["predicted"] == (metric.predicted or metric.label)
        counted, n = ~counted if metric.name == "errors" else counted, len(table)
        share = intervals.proportion_interval(counted.to_numpy(), table["group"].to_numpy())
        naive = share.naive and replace(share.naive, low=n * share.naive.low, high=n * share.naive.high)
        method = f"{share.method} of {n} images of the class"
        found = Interval(n * share.low, n * share.high, method, naive, share.design_effect)
        return Estimate.of(int(counted.sum()), n, found)

    def decided(
        self, table: pd.DataFrame, scenario: str = "", label: str = "", average: str | None = None
    ) -> Decisions:
        """Decide on predicted classes by the protocol's threshold; see `predictions.decide`."""
        classes, threshold = self.study.paper.scenario(scenario), self.study.paper.protocol.threshold.value
        return decide(table, classes.classes, label or classes.positive, threshold, average)

    def decisions(self, arm: str, stage: str = "test", scenario: str = "", phase: str = "") -> Decisions:
        """Return truth, predicted classes and probabilities of an arm as arrays."""
        return self.decided(self.predictions(arm, stage, scenario, phase), scenario)

    def collapsed(self, arm: str, stage: str = "test", scenario: str = "", phase: str = "") -> str | None:
        """Name the one class that an arm predicts for every image of a stage; None if it predicts several.

        Of "folds", if the models of all folds predict this class.
        """
        stages = self.stages(stage)
        found = {self.decisions(arm, each, scenario, phase).collapsed for each in stages}
        return found.pop() if len(found) == 1 else None

    def title(self, arm: str, scenario: str = "", stage: str = "test", phase: str = "") -> str:
        """Name an arm as `Study.title` does, and say if it has collapsed: if it gives every image the same class."""
        title = self.study.title(arm, scenario)
        ran = not self.study.why_not_run([arm], scenario)
        return f"{title} (collapsed)" if ran and self.collapsed(arm, stage, scenario, phase) else title

    def confusion(self, arm: str, stage: str = "test", scenario: str = "", phase: str = "") -> pd.DataFrame:
        """Count images by true class (rows) and predicted class (columns)."""
        return self.decisions(arm, stage, scenario, phase).confusion()

    def predicted(self, arm: str, stage: str = "test", scenario: str = "", phase: str = "") -> pd.DataFrame:
        """Return `predictions` with the predicted class in the column "predicted"."""
        table = self.predictions(arm, stage, scenario, phase)
        return table.assign(predicted=self.decided(table, scenario).labels)

    def errors(self, arm: str, stage: str = "test", scenario: str = "", phase: str = "") -> pd.DataFrame:
        """List the images whose predicted class is wrong: file (absolute path), path, label, predicted, ``p_CLASS``."""
        wrong = self.predicted(arm, stage, scenario, phase).query("predicted != label").reset_index(drop=True)
        files = [str(Path(self.study.dataset.root).absolute() / path) for path in wrong["path"]]
        probabilities = [f"p_{name}" for name in self.study.paper.scenario(scenario).classes]
        return wrong.assign(file=files)[["file", "path", "label", "predicted", *probabilities]]

    def calibration(self, arm: str, scenario: str = "") -> Calibration:
        """Compare an arm's probabilities for the images held out with the frequencies of the classes."""
        classes, seed = self.study.paper.scenario(scenario).classes, self.study.options.seed
        return self.once(
            ("calibration", arm, scenario),
            lambda: calibration(self.predictions(arm, "test", scenario), classes, seed=seed),
        )

    def history(self, arm: str, stage: str = "test", scenario: str = "") -> pd.DataFrame:
        """Return the learning curve of a model through all its phases; columns as in `TrialResult.history`."""
        return self.trial(arm, stage, scenario).history

    def printed(
        self, arm: str, stage: str, metric: Metric | str, scenario: str = "", phase: str = ""
    ) -> Printed | None:
        """Return the printed number of a score; None where there is none.

        Of several claims the most precise; of these, that of a table before that of the text.
        """
        metric = _metric(metric)
        last = self.study.paper.arms[arm].phases[-1].name
        claims = [
            claim
            for claim in self.study.paper.claims
            if claim.metric == metric
            and (claim.arm, claim.stage, claim.scenario or "") == (arm, stage, scenario)
            and (claim.phase or last) == (phase or last)
        ]
        precise = min(claims, key=lambda c: (c.number.tolerance, not c.where.startswith("Table")), default=None)
        return precise and precise.number

    def fold_values(self, arm: str, metric: str) -> list[float]:
        """Return a score of an arm in each fold, fractions as floats."""
        return [self.estimate(arm, fold, metric).value for fold in self.folds]


class WithoutDuplicates(Results):
    """The same trained models, evaluated without the images that have a duplicate in their training part."""

    def predictions(self, arm: str, stage: str, scenario: str = "", phase: str = "") -> pd.DataFrame:
        """Return `Results.predictions` for the images that have no duplicate in training."""
        table, groups = super().predictions(arm, stage, scenario, phase), self.study.groups
        trained = _grouped(self.trial(arm, stage, scenario).part("train"), groups)
        return table[~_grouped(table, groups)["group"].isin(trained["group"])]

    def _estimate(self, *place):
        try:
            return super()._estimate(*place)
        except DataError:  # nothing is left
            return Estimate(math.nan, math.nan, math.nan, 0, "no image without a duplicate in training")


def run_together(planned: Sequence[tuple[Study, Sequence[Trial]]]) -> list[Results]:
    """Train trials of studies that have the same store at the same time, as far as they are not stored yet."""
    if not planned:
        return []
    trials = [trial for _, own in planned for trial in own]
    sets = [study.dataset for study, own in planned for _ in own]
    options = planned[0][0].options
    trained = iter(run.run_trials(trials, sets, options.store, scheduler=options.scheduler, fresh=options.fresh))
    return [Results(study, {(t.scenario, t.arm, t.stage): next(trained) for t in own}) for study, own in planned]


def _grouped(table, groups):
    # A trial stores the groups of the audit that it was trained with.
    known = table["path"].map(groups)
    return table.assign(group=known) if known.notna().all() else table


def _metric(metric):
    try:
        return Metric(name=metric) if isinstance(metric, str) else metric
    except ValidationError as error:
        raise UsageError(f"score {first_problem(error, {'name': metric})}") from None


def metric_name(metric: Metric | str) -> str:
    """Name a score in tables: with its class or its average."""
    metric = _metric(metric)
    over = {"value": "", "comparison": "", "epochs": "mean over epochs of "}.get(metric.over, f"{metric.over} of ")
    if metric.name == "count":
        return f"{over}{metric.label} predicted as {metric.predicted or metric.label}"
    if metric.name == "errors":
        return f"{over}{metric.label} misclassified"
    names = {"t_test.t": "t of the t-test", "t_test.p": "p of the t-test", "training_seconds": "training time (s)"}
    name = names.get(metric.name, metric.name.replace("_", " "))
    what = metric.average or metric.label
    return f"{over}{name} ({what})" if what else f"{over}{name}"

"""Tables of a paper's results, each beside what the paper prints.

Every function takes a `Results` first and returns a `Table`. An arm that was not run keeps its rows, with the printed
numbers alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from brainlib.papers.printed import Printed, printed_number
from brainlib.papers.schema import Metric
from brainlib.report.table import COUNT, NONE, NUMBER, PERCENT, PERCENT1, POINTS, SECONDS, Format, Table
from brainlib.stats import intervals
from brainlib.study.results import Results, metric_name

NOT_RUN = "not run"
OURS = "this run"
_FOLD_METRICS = ("accuracy", "sensitivity", "specificity")
_VARIANCE = Format("points²", 1e4, digits=3)


def weighted(name: str) -> Metric:
    """Return a score averaged over the classes, weighted by the images of each."""
    return Metric(name=name, average="weighted")


def macro(name: str) -> Metric:
    """Return a score averaged over the classes, all with the same weight."""
    return Metric(name=name, average="macro")


def format_of(metric: Metric | str) -> Format:
    """Return how a score is written: losses as numbers, times in seconds, all others in percent."""
    name = metric if isinstance(metric, str) else metric.name
    return {"loss": NUMBER, "training_loss": NUMBER, "training_seconds": SECONDS}.get(name, PERCENT)


def limits(name: str, found) -> dict[str, float]:
    """Return the columns of a value with its interval: "NAME", "NAME low" and "NAME high"."""
    return {name: found.value, f"{name} low": found.low, f"{name} high": found.high}


def folds(results: Results, arm: str, metrics: Sequence[str] = _FOLD_METRICS) -> Table:
    """Show the scores of each fold, their mean and variance, beside the printed ones."""
    title = results.study.title(arm)
    if arm not in results.study.arms:
        return Table(pd.DataFrame(), f"{title}: {NOT_RUN}.")
    rows, formats = [], {}
    steps = [(stage, stage, "value") for stage in results.folds]
    steps += [("mean", "folds", "mean"), ("variance", "folds", "variance")]
    for name, stage, over in steps:
        row = {"fold": name}
        for metric in (Metric(name=each, over=over) for each in metrics):
            printed = results.printed(arm, stage, metric)
            row[metric.name] = results.estimate(arm, stage, metric).value
            row[f"{metric.name}, printed"] = _value(printed)
            ours = _VARIANCE if over == "variance" else PERCENT
            formats.setdefault(metric.name, []).append(ours)
            formats.setdefault(f"{metric.name}, printed", []).append(_as_printed(printed, ours))
        rows.append(row)
    images = sum(len(results.predictions(arm, fold)) for fold in results.folds)
    caption = f"{title}: {len(results.folds)} folds, {images} validation images."
    return Table(pd.DataFrame(rows), caption, formats)


def test_scores(results: Results, metrics: Sequence[Metric | str], scenario: str = "", phase: str = "") -> Table:
    """Show scores of every arm on the test images, with intervals, beside the printed ones."""
    rows, formats, missing = [], {"printed": [], OURS: []}, []
    for arm in results.study.paper.arms:
        for metric in metrics:
            printed = results.printed(arm, "test", metric, scenario, phase)
            row = {"arm": results.study.title(arm), "metric": metric_name(metric), "printed": _value(printed)}
            if arm in results.study.arms:
                estimate = results.estimate(arm, "test", metric, scenario, phase)
                row |= limits(OURS, estimate) | {"n": estimate.n, "interval by": estimate.method}
            rows.append(row)
            formats["printed"].append(_as_printed(printed, format_of(metric)))
            formats[OURS].append(format_of(metric))
            missing.append(NONE if arm in results.study.arms else NOT_RUN)
    images = len(results.predictions(results.study.arms[0], "test", scenario))
    caption = f"Scores on {images} test images, with 95 % intervals."
    return Table(pd.DataFrame(rows), caption, formats | {"n": COUNT}, missing={OURS: missing, "n": ""})


def comparison(
    results: Results,
    columns: Mapping[str, tuple[str, Metric | str]],
    scenario: str = "",
    phase: str = "",
) -> Table:
    """Show one row an arm as papers print it, and below it what this run gives.

    Arms without a phase of this name have no row, and there is no printed row where nothing is printed. A model that
    gives every image the same class is marked as collapsed.

    Parameters
    ----------
    results : Results
    columns : mapping of str to (str, Metric or str)
        Heading: stage and metric.
    scenario, phase : str
    """
    study, rows, scored = results.study, [], None
    formats, missing = {heading: [] for heading in columns}, []

    def add(arm, numbers, absent, values, written):
        rows.append({"arm": arm, "numbers": numbers, **values})
        missing.append(absent)
        for heading, each in zip(columns, written, strict=True):
            formats[heading].append(each)

    usual = [format_of(metric) for _, metric in columns.values()]
    for arm, given in study.paper.arms.items():
        if phase and phase not in [each.name for each in given.phases]:
            continue
        title = given.title
        printed = {
            heading: results.printed(arm, stage, metric, scenario, phase)
            for heading, (stage, metric) in columns.items()
        }
        if any(printed.values()):
            values = {heading: _value(number) for heading, number in printed.items()}
            add(title, "printed", NONE, values, list(map(_as_printed, printed.values(), usual)))
            title = ""
        if study.why_not_run([arm], scenario):
            add(title, NOT_RUN, "", {}, usual)
            continue
        scored = arm
        label = results.decisions(arm, "test", scenario, phase).collapsed
        notes = [title, f"collapsed: predicts {label} for every image" if label else ""]
        values = {}
        for heading, (stage, metric) in columns.items():
            values |= limits(heading, results.estimate(arm, stage, metric, scenario, phase))
        add("; ".join(filter(None, notes)), OURS, NONE, values, usual)
    where = [study.paper.scenario(scenario).title if scenario else "", phase]
    if scored:
        images = len(results.predictions(scored, "test", scenario, phase))
        where += [f"{images} test images", *study.conditions()]
    caption = "; ".join(filter(None, where))
    caption = f"{caption[:1].upper()}{caption[1:]}."
    return Table(pd.DataFrame(rows), caption, formats, missing=dict.fromkeys(columns, missing))


def per_class(results: Results, arm: str, scenario: str = "", phase: str = "") -> Table:
    """Show precision, sensitivity, F1 and support of each class, then the macro and weighted averages.

    Beside each score of a class stands the printed one, where there is one.
    """
    title = results.study.title(arm, scenario)
    if results.study.why_not_run([arm], scenario):
        return Table(pd.DataFrame(), f"{title}: {NOT_RUN}.")
    rows, formats = [], {}
    for label, scored in results.decisions(arm, "test", scenario, phase).per_class().iterrows():
        row = {"class": label}
        for name in ("precision", "sensitivity", "f1"):
            if label in results.study.paper.data.classes:
                metric = Metric(name=name, label=label)
            else:
                metric = Metric(name=name, average=label.split()[0])
            printed = results.printed(arm, "test", metric, scenario, phase)
            row |= {name: scored[name], f"{name}, printed": _value(printed)}
            formats[name] = PERCENT
            formats.setdefault(f"{name}, printed", []).append(_as_printed(printed, PERCENT))
        rows.append(row | {"support": int(scored["support"])})
    frame = pd.DataFrame(rows)
    frame = frame.dropna(axis="columns", how="all")  # no column of printed scores where none is printed
    after = f", after {phase}" if phase else ""
    caption = f"{title}{after}: each class against the rest, and their averages."
    return Table(frame, caption, formats, missing={name: "" for name in formats if name.endswith("printed")})


def missed_tumours(results: Results, scenario: str = "") -> Table:
    """Show, after each phase of each arm, how many tumours were missed and how many normal images were not.

    Both as counts and as shares with Wilson's 95 % interval.
    """
    normal, rows = results.study.paper.data.normal, []
    for arm in results.study.arms:
        for phase in results.study.paper.arms[arm].phases:
            table = results.predicted(arm, "test", scenario, phase.name)
            tumour, negative = table["label"] != normal, table["predicted"] == normal
            rows.append(
                {
                    "arm": results.study.title(arm),
                    "after": phase.name,
                    "tumours": int(tumour.sum()),
                    "missed": int((tumour & negative).sum()),
                    **_share("share missed", tumour & negative, tumour),
                    "normal images": int((~tumour).sum()),
                    "false alarms": int((~tumour & ~negative).sum()),
                    **_share("share of false alarms", ~tumour & ~negative, ~tumour),
                }
            )
    caption = (
        f"Tumours that were predicted as {normal}, the error that screening must avoid, and {normal} images that were "
        "predicted as a tumour, with 95 % intervals."
    )
    return Table(pd.DataFrame(rows), caption, {"share missed": PERCENT1, "share of false alarms": PERCENT1})


def _share(name, wrong, of):
    k, n = int(wrong.sum()), int(of.sum())
    if n == 0:
        return dict.fromkeys((name, f"{name} low", f"{name} high"), math.nan)
    interval = intervals.wilson_interval(k, n)
    return {name: k / n, f"{name} low": interval.low, f"{name} high": interval.high}


def counts(results: Results) -> Table:
    """Show printed cells of a confusion matrix beside those of this run."""
    study, rows, printed = results.study, [], []
    for claim in study.paper.claims:
        if not claim.metric or claim.metric.name not in ("count", "errors"):
            continue
        row = {
            "arm": study.paper.arms[claim.arm].title,
            "images": metric_name(claim.metric),
            "printed": claim.value,
        }
        if not study.why_not_run([claim.arm], claim.scenario):
            estimate = results.estimate(claim.arm, claim.stage, claim.metric, claim.scenario or "", claim.phase or "")
            row |= {OURS: estimate.value, "of images": estimate.n}
        rows.append(row)
        printed.append(_as_printed(claim.number, COUNT))
    frame = pd.DataFrame(rows, columns=["arm", "images", "printed", OURS, "of images"])
    formats = {"printed": printed, OURS: COUNT, "of images": COUNT}
    caption = "Cells of the confusion matrices that the text gives, and how many images of the class this run tested."
    return Table(frame, caption, formats, missing={OURS: NOT_RUN, "of images": ""})


def best_epochs(results: Results) -> Table:
    """Show the effect of selecting the best epoch on the very images that are then reported."""
    rows = []
    for (scenario, arm, stage), result in results.trials.items():
        for phase in result.trial.phases:
            curve, best = result.curve(phase.name), result.best_epoch(phase.name)
            last, highest = curve["val_accuracy"].iloc[-1], curve.set_index("epoch").loc[best, "val_accuracy"]
            rows.append(
                {
                    "arm": results.study.title(arm, scenario),
                    "trained": f"{stage}, {phase.name}" if len(result.trial.phases) > 1 else stage,
                    "monitored": result.trial.monitored,
                    "last epoch": last,
                    "best epoch": highest,
                    "effect": highest - last,
                    "best epoch is": best,
                }
            )
    formats = {"last epoch": PERCENT, "best epoch": PERCENT, "effect": POINTS}
    return Table(pd.DataFrame(rows), "Accuracy on the monitored images at the last epoch and at the best one.", formats)


def times(results: Results) -> Table:
    """Show the training time of each trial, on the machine that trained it."""
    rows = [
        {
            "arm": results.study.title(arm, scenario),
            "trained": stage,
            "training": result.facts["seconds"]["training"],
            "everything else": result.facts["seconds"]["other"],
            "epochs": len(result.history),
            "peak memory of the process": result.facts["peak_memory_mib"],
        }
        for (scenario, arm, stage), result in results.trials.items()
    ]
    place = next(iter(results.trials.values())).facts["environment"]
    caption = f"Times on {place['processor']}, {place['cores']} cores, {place['accelerators'] or 'no'} GPU."
    formats = {"training": SECONDS, "everything else": SECONDS, "peak memory of the process": Format("MiB", digits=0)}
    return Table(pd.DataFrame(rows), caption, formats)


def other_work(results: Results, arm: str, scenario: str = "") -> Table:
    """Show the paper's comparison with other papers, with its own claim and this run at the end."""
    paper = results.study.paper
    rows = [
        {"reference": row.reference, "method": row.method, "accuracy": row.accuracy} for row in paper.tables.other_work
    ]
    printed = [printed_number(row["accuracy"]) for row in rows]
    printed.append(results.printed(arm, "test", "accuracy", scenario))
    rows.append({"reference": "this paper, as printed", "method": paper.arms[arm].title})
    rows = [row | {"accuracy": _value(number)} for row, number in zip(rows, printed, strict=True)]
    missing, ours = [NONE] * len(rows), {}
    if not results.study.why_not_run([arm], scenario):
        ours = limits("accuracy", results.estimate(arm, "test", "accuracy", scenario))
    rows.append({"reference": OURS, "method": results.study.title(arm), **ours})
    caption = "Accuracies of other papers, on other images and splits: none of them is comparable."
    formats = {"accuracy": [*(_as_printed(number, PERCENT) for number in printed), PERCENT]}
    return Table(pd.DataFrame(rows), caption, formats, missing={"accuracy": [*missing, NONE if ours else NOT_RUN]})


def _value(printed: Printed | None) -> float:
    return printed.value if printed else math.nan


def _as_printed(printed, ours):
    """Write a printed number with its own digits in the unit of ours."""
    if printed is None:
        return ours
    unit = {"points²": "percent^2", "": "1"}.get(ours.unit, ours.unit)
    return Format.of(printed, unit)

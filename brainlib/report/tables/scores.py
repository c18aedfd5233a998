"""The tables of a paper's results, each beside what the paper prints.

Every function takes a `Results` first and returns a `Table`. An arm that was not run stands in
its table with what is printed of it, and says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from brainlib.papers.schema import Metric
from brainlib.report.table import Table, percent
from brainlib.stats import intervals
from brainlib.study.results import Results, metric_name

NOT_RUN = "not run"
NO_BREAK = "\N{NO-BREAK SPACE}"
_FOLD_METRICS = ("accuracy", "sensitivity", "specificity")


def weighted(name: str) -> Metric:
    """A score averaged over the classes, weighted by the images of each."""
    return Metric(name=name, average="weighted")


def macro(name: str) -> Metric:
    """A score averaged over the classes, all with the same weight."""
    return Metric(name=name, average="macro")


def folds(results: Results, arm: str, metrics: Sequence[str] = _FOLD_METRICS) -> Table:
    """Scores of each fold, their mean and variance, beside the printed ones."""
    title = results.study.title(arm)
    if arm not in results.study.arms:
        return Table(pd.DataFrame(), f"{title}: {NOT_RUN}.")
    rows = []
    steps = [(stage, stage, "value") for stage in results.folds]
    steps += [("mean", "folds", "mean"), ("variance (points²)", "folds", "variance")]
    for name, stage, over in steps:
        shown = _spread if over == "variance" else percent
        row = {"fold": name}
        for metric in (Metric(name=each, over=over) for each in metrics):
            printed = results.printed(arm, stage, metric)
            row[metric.name] = shown(results.estimate(arm, stage, metric).value)
            row[f"{metric.name}, printed"] = shown(printed.value if printed else math.nan)
        rows.append(row)
    images = sum(len(results.predictions(arm, fold)) for fold in results.folds)
    caption = f"{title}: {len(results.folds)} folds, {images} images validated."
    return Table(pd.DataFrame(rows), caption)


def scores(results: Results, metrics: Sequence[Metric | str], scenario: str = "", phase: str = "") -> Table:
    """Scores of every arm on the held-out images, with intervals, beside the printed ones."""
    rows = []
    for arm in results.study.paper.arms:
        for metric in metrics:
            printed = results.printed(arm, "test", metric, scenario, phase)
            row = {
                "arm": results.study.title(arm),
                "metric": metric_name(metric),
                "printed": percent(printed.value if printed else math.nan),
                "reproduced": NOT_RUN,
            }
            if arm in results.study.arms:
                estimate = results.estimate(arm, "test", metric, scenario, phase)
                row |= {
                    "reproduced": percent(estimate.value),
                    "95 % interval": _interval(estimate),
                    "n": f"{estimate.n}",
                    "interval by": estimate.method,
                }
            rows.append(row)
    images = len(results.predictions(results.study.arms[0], "test", scenario))
    return Table(pd.DataFrame(rows), f"Scores on {images} test images.")


def comparison(
    results: Results,
    columns: Mapping[str, tuple[str, Metric | str]],
    scenario: str = "",
    phase: str = "",
) -> Table:
    """One row an arm as papers print it, and below it what was reproduced.

    Arms that have no phase of this name have no row, and where nothing is printed or nothing was
    run, there is no row of it. A collapsed model is named so.

    Parameters
    ----------
    results : Results
    columns : mapping of str to (str, Metric or str)
        Heading: stage and metric.
    scenario, phase : str
    """
    study, rows, judged = results.study, [], None
    for arm, given in study.paper.arms.items():
        if phase and phase not in [each.name for each in given.phases]:
            continue
        printed = {
            heading: results.printed(arm, stage, metric, scenario, phase)
            for heading, (stage, metric) in columns.items()
        }
        cells = {
            heading: _shown(columns[heading][1], number.value if number else math.nan)
            for heading, number in printed.items()
        }
        if any(printed.values()):
            rows.append({"arm": given.title, "numbers": "printed", **cells})
        title = "" if any(printed.values()) else given.title
        if study.why_not_run([arm], scenario):
            rows.append({"arm": title, "numbers": NOT_RUN})
            continue
        judged = arm
        called = results.collapsed(arm, "test", scenario, phase)
        named = [title, f"collapsed: calls every image {called}" if called else ""]
        rows.append({"arm": "; ".join(filter(None, named)), "numbers": "reproduced"})
        for heading, (stage, metric) in columns.items():
            estimate = results.estimate(arm, stage, metric, scenario, phase)
            rows[-1][heading] = _with_interval(metric, estimate)
    where = [study.paper.scenario(scenario).title if scenario else "", phase]
    if judged:
        images = len(results.predictions(judged, "test", scenario, phase))
        where += [f"{images} test images", *study.conditions()]
    caption = "; ".join(filter(None, where))
    return Table(pd.DataFrame(rows).fillna(""), f"{caption[:1].upper()}{caption[1:]}.")


def per_class(results: Results, arm: str, scenario: str = "", phase: str = "") -> Table:
    """Precision, sensitivity, F1 and support of each class, then the macro and weighted averages.

    Beside each score of a class stands the printed one, where there is one.
    """
    title = results.study.title(arm, scenario)
    if results.study.why_not_run([arm], scenario):
        return Table(pd.DataFrame(), f"{title}: {NOT_RUN}.")
    report = results.per_class(arm, "test", scenario, phase)
    rows = []
    for label, scored in report.iterrows():
        row = {"class": label}
        for name in ("precision", "sensitivity", "f1"):
            row[name] = percent(scored[name])
            if label in results.study.paper.data.classes:
                asked = Metric(name=name, label=label)
            else:
                asked = Metric(name=name, average=label.split()[0])
            printed = results.printed(arm, "test", asked, scenario, phase)
            row[f"{name}, printed"] = percent(printed.value) if printed else ""
        row["support"] = int(scored["support"])
        rows.append(row)
    frame = pd.DataFrame(rows)
    frame = frame.loc[:, (frame != "").any()]  # no column of printed scores where none is printed
    after = f", after {phase}" if phase else ""
    return Table(frame, f"{title}{after}: each class against the rest, and their averages.")


def tumours_read_as_normal(results: Results, scenario: str = "") -> Table:
    """Of each arm after each of its phases: tumours called normal, and normal images called tumour.

    Both as counts and as shares with Wilson's 95 % interval.
    """
    normal, rows = results.study.paper.data.normal, []
    for arm in results.study.arms:
        for phase in results.study.paper.arms[arm].phases:
            table = results.called(arm, "test", scenario, phase.name)
            tumour, called_normal = table["label"] != normal, table["called"] == normal
            rows.append(
                {
                    "arm": results.study.title(arm),
                    "after": phase.name,
                    "tumours": int(tumour.sum()),
                    f"called {normal}": _share(tumour & called_normal, tumour),
                    normal: int((~tumour).sum()),
                    "called a tumour": _share(~tumour & ~called_normal, ~tumour),
                }
            )
    return Table(pd.DataFrame(rows), "Tumours read as normal, the error that a screening must not make.")


def _share(wrong, of):
    k, n = int(wrong.sum()), int(of.sum())
    if n == 0:
        return "–"
    interval = intervals.wilson_interval(k, n)
    return f"{k} ({percent(k / n, 1)}; {100 * interval.low:.1f} to {percent(interval.high, 1)})"


def counts(results: Results) -> Table:
    """Printed counts of a confusion matrix beside ours: the images of a class that were given one."""
    study, rows = results.study, []
    for claim in study.paper.claims:
        if not claim.metric or claim.metric.name not in ("count", "errors"):
            continue
        row = {
            "arm": study.paper.arms[claim.arm].title,
            "images": metric_name(claim.metric),
            "printed": claim.printed,
            "reproduced": NOT_RUN,
        }
        if not study.why_not_run([claim.arm], claim.scenario):
            estimate = results.estimate(claim.arm, claim.stage, claim.metric, claim.scenario or "", claim.phase or "")
            row |= {"reproduced": f"{estimate.value:.0f}", "of our images": f"{estimate.n}"}
        rows.append(row)
    return Table(pd.DataFrame(rows).fillna(""), "Cells of the confusion matrices that the text gives.")


def best_epochs(results: Results) -> Table:
    """What picking the best epoch on the judged images would have printed instead."""
    rows = []
    for (scenario, arm, stage), result in results.trials.items():
        for phase in result.trial.phases:
            curve = result.curve(phase.name)
            best = result.best_epoch(phase.name)
            flattered = curve.set_index("epoch").loc[best]
            rows.append(
                {
                    "arm": results.study.title(arm, scenario),
                    "trained": f"{stage}, {phase.name}" if len(result.trial.phases) > 1 else stage,
                    "judged on": result.trial.monitored,
                    "last epoch": percent(curve["val_accuracy"].iloc[-1]),
                    "best epoch": percent(flattered["val_accuracy"]),
                    "which": best,
                }
            )
    return Table(pd.DataFrame(rows), "Accuracy at the last epoch, and at the best one.")


def times(results: Results) -> Table:
    """Training time of each trial, on this machine."""
    rows = [
        {
            "arm": results.study.title(arm, scenario),
            "trained": stage,
            "training (s)": f"{result.facts['seconds']['training']:.1f}",
            "everything else (s)": f"{result.facts['seconds']['other']:.1f}",
            "epochs": len(result.history),
            "peak memory of the process (MiB)": f"{result.facts['peak_memory_mib']:.0f}",
        }
        for (scenario, arm, stage), result in results.trials.items()
    ]
    place = next(iter(results.trials.values())).facts["environment"]
    caption = f"Times on {place['processor']}, {place['cores']} cores, no GPU."
    if place["accelerators"]:
        caption = caption.replace("no GPU", f"{place['accelerators']} GPU")
    return Table(pd.DataFrame(rows), caption)


def other_work(results: Results, arm: str, scenario: str = "") -> Table:
    """The paper's comparison with other papers, with its own claim and ours at the end."""
    paper = results.study.paper
    rows = [
        {"reference": row.reference, "method": row.method, "accuracy": row.accuracy} for row in paper.tables.other_work
    ]
    printed = results.printed(arm, "test", "accuracy", scenario)
    rows.append(
        {
            "reference": "this paper, as printed",
            "method": paper.arms[arm].title,
            "accuracy": percent(printed.value) if printed else "–",
        }
    )
    ours = NOT_RUN
    if not results.study.why_not_run([arm], scenario):
        estimate = results.estimate(arm, "test", "accuracy", scenario)
        ours = _with_interval("accuracy", estimate)
    rows.append({"reference": "this run", "method": results.study.title(arm), "accuracy": ours})
    caption = "Accuracies of other papers, on other images and splits: none of them is comparable."
    return Table(pd.DataFrame(rows), caption)


def _shown(metric, value):
    name = metric if isinstance(metric, str) else metric.name
    if math.isnan(value):
        return "–"
    if name in ("loss", "training_loss"):
        return f"{value:.4g}"
    return f"{value:.1f} s" if name == "training_seconds" else percent(value)


def _with_interval(metric, estimate):
    """A score and, where it has one, its interval: "91.74 % (88.25 to 94.26 %)"."""
    value = _shown(metric, estimate.value)
    if math.isnan(estimate.low):
        return value
    low, high = (_shown(metric, limit) for limit in (estimate.low, estimate.high))
    return f"{value} ({low.removesuffix(NO_BREAK + '%')} to {high})"


def _interval(estimate):
    if math.isnan(estimate.low):
        return "–"
    return f"{100 * estimate.low:.2f} to {percent(estimate.high)}"


def _spread(variance):
    return "–" if math.isnan(variance) else f"{1e4 * variance:.3f}"

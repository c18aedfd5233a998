"""Tables of a paper's results, each beside what the paper prints.

Every function takes a `Results` first and returns a `Table`. An arm that was not run keeps its rows, with the printed
numbers alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from brainlib.papers.printed import printed_number
from brainlib.papers.schema import Metric
from brainlib.report.table import COUNT, NUMBER, PERCENT, PERCENT1, POINTS, SECONDS, Format, Table
from brainlib.report.tables.captions import caption
from brainlib.stats.intervals import proportion_interval
from brainlib.study.results import Results, metric_name

NOT_RUN = "not run"
OURS = "this run"
_FOLD_METRICS = ("accuracy", "sensitivity", "specificity")
_VARIANCE = Format("points²", 1e4, digits=3)
_FACTOR = Format(digits=2)
_MILLISECONDS = Format("ms", 1000, digits=1)
_MEMORY = Format("MiB", digits=0)


def folds(results: Results, arm: str, metrics: Sequence[str] = _FOLD_METRICS) -> Table:
    """Show the scores of each fold, their mean and variance, beside the printed ones."""
    title = results.study.title(arm)
    if arm not in results.study.arms:
        return Table([], f"{title}: {NOT_RUN}.")
    rows, steps = [], []
    for stage in results.folds:
        steps.append((f"{stage} (collapsed)" if results.collapsed(arm, stage) else stage, stage, "value"))
    steps += [("mean", "folds", "mean"), ("variance", "folds", "variance")]
    for name, stage, over in steps:
        row, how = {"fold": name}, _VARIANCE if over == "variance" else PERCENT
        for metric in (Metric(name=each, over=over) for each in metrics):
            row[metric.name] = how(results.estimate(arm, stage, metric).value)
            row[f"{metric.name}, printed"] = how.printed(results.printed(arm, stage, metric))
        rows.append(row)
    images = sum(len(results.predictions(arm, fold)) for fold in results.folds)
    counted = f"{title}: {len(results.folds)} folds, {images} validation images."
    return Table(rows, counted + not_comparable(results, arm))


def test_scores(results: Results, metrics: Sequence[Metric | str], scenario: str = "") -> Table:
    """Show scores of every arm on the test images, with intervals, beside the printed ones."""
    rows = []
    for arm in results.study.paper.arms:
        for metric in metrics:
            place, how = (arm, "test", metric, scenario), _format(metric)
            found = results.estimate(*place) if arm in results.study.arms else None
            row = {"arm": results.title(arm, scenario), "metric": metric_name(metric)}
            row |= {"printed": how.printed(results.printed(*place)), OURS: how.score(found, NOT_RUN)}
            row |= {"n": COUNT(found.n), "interval by": found.method} if found else {}
            if found and found.naive:
                row["as if independent"] = how(found.value, found.naive.low, found.naive.high)
                row["design effect"] = _FACTOR(found.design_effect)
            rows.append(row)
    images = len(results.predictions(results.study.arms[0], "test", scenario))
    return Table(rows, f"Scores on {images} test images, with 95 % intervals.{not_comparable(results)}")


def comparison(
    results: Results, columns: Mapping[str, tuple[str, Metric | str]], scenario: str = "", phase: str = ""
) -> Table:
    """Show one row an arm as papers print it, and below it what this run gives; columns are {heading: stage, metric}.

    Arms without a phase of this name have no row, nor have those that were not run and of which nothing is printed. A
    model that gives every image the same class is marked as collapsed, with this class.
    """
    study, rows, scored = results.study, [], None
    for arm, given in study.paper.arms.items():
        if phase and phase not in [each.name for each in given.phases]:
            continue
        title, printed = given.title, {}
        for heading, (stage, metric) in columns.items():
            printed[heading] = _format(metric).printed(results.printed(arm, stage, metric, scenario, phase))
        if not all(math.isnan(cell.value) for cell in printed.values()):
            rows.append({"arm": title, "numbers": "printed", **printed})
            title = ""
        if study.why_not_run([arm], scenario):
            rows += [] if title else [{"arm": "", "numbers": NOT_RUN}]
            continue
        scored, label = arm, results.decisions(arm, "test", scenario, phase).collapsed
        notes = [title, f"collapsed: predicts {label} for every image" if label else ""]
        rows.append({"arm": "; ".join(filter(None, notes)), "numbers": OURS})
        for heading, (stage, metric) in columns.items():
            estimate = results.estimate(arm, stage, metric, scenario, phase)
            rows[-1][heading] = _format(metric).score(estimate)
    where = [study.paper.scenario(scenario).title if scenario else "", phase]
    if scored:
        images = len(results.predictions(scored, "test", scenario, phase))
        where.append(f"{images} test images")
    place = "; ".join(filter(None, where))
    return Table(rows, f"{place[:1].upper()}{place[1:]}.{not_comparable(results) if scored else ''}")


def per_class(results: Results, arm: str, scenario: str = "") -> Table:
    """Show precision, sensitivity, F1 and support of each class and their averages, beside the printed ones."""
    title = results.title(arm, scenario)
    if results.study.why_not_run([arm], scenario):
        return Table([], f"{title}: {NOT_RUN}.")
    rows, paper, supports = [], results.study.paper, {}
    for claim in paper.claims:
        if claim.metric and claim.metric.name == "images" and (claim.stage, claim.scenario or "") == ("test", scenario):
            supports[claim.metric.label] = {"support, printed": COUNT.printed(claim.number)}
    for label, scored in results.decisions(arm, "test", scenario).per_class().iterrows():
        of = {"label": label} if label in paper.data.classes else {"average": label.split()[0]}
        row = {"class": label}
        for name in ("precision", "sensitivity", "f1"):
            row[name] = PERCENT(scored[name])
            printed = results.printed(arm, "test", Metric(name=name, **of), scenario)
            row |= {f"{name}, printed": PERCENT.printed(printed)} if printed else {}
        rows.append(row | {"support": int(scored["support"])} | supports.get(of.get("label"), {}))
    return Table(rows, f"{title}: each class against the rest, and their averages.{not_comparable(results, arm)}")


def missed_tumours(results: Results, scenario: str = "") -> Table:
    """Show missed tumours and false alarms after each phase: counts, and shares with their 95 % interval."""
    normal, rows = results.study.paper.data.normal, []
    for arm in results.study.arms:
        for phase in results.study.paper.arms[arm].phases:
            table = results.predicted(arm, "test", scenario, phase.name)
            row = {"arm": results.title(arm, scenario, phase=phase.name), "after": phase.name}
            for images, wrong, share, own in (
                ("tumours", "missed", "share missed", table[table["label"] != normal]),
                ("normal images", "false alarms", "share of false alarms", table[table["label"] == normal]),
            ):
                missed = ((own["predicted"] == normal) != (own["label"] == normal)).to_numpy()
                interval = proportion_interval(missed, own["group"].to_numpy())
                row |= {images: len(own), wrong: int(missed.sum())}
                row[share] = PERCENT1(missed.mean() if len(own) else math.nan, interval.low, interval.high)
            rows.append(row)
    return Table(rows, caption("missed_tumours", normal=normal))


def counts(results: Results) -> Table:
    """Show printed cells of a confusion matrix beside those of this run."""
    study, rows = results.study, []
    for claim in study.paper.claims:
        if not claim.metric or claim.metric.name not in ("count", "errors"):
            continue
        scenario, phase = claim.scenario or "", claim.phase or ""
        row = {"arm": results.title(claim.arm, scenario, claim.stage, phase), "images": metric_name(claim.metric)}
        row |= {"printed": COUNT.printed(claim.number), OURS: COUNT.score(None, NOT_RUN)}
        if not study.why_not_run([claim.arm], scenario):
            found = results.estimate(claim.arm, claim.stage, claim.metric, scenario, phase)
            row |= {OURS: COUNT(found.value), "of images": COUNT(found.n)}
        rows.append(row)
    return Table(rows, caption("counts", conditions=not_comparable(results)))


def best_epochs(results: Results) -> Table:
    """Show the effect of selecting the best epoch on the very images that are then reported."""
    rows = []
    for (scenario, arm, stage), result in results.trials.items():
        for phase in result.trial.phases:
            curve, best = result.curve(phase.name), result.best_epoch(phase.name)
            last, highest = curve["val_accuracy"].iloc[-1], curve.set_index("epoch").loc[best, "val_accuracy"]
            rows.append(
                {
                    "arm": results.title(arm, scenario),
                    "trained": f"{stage}, {phase.name}" if len(result.trial.phases) > 1 else stage,
                    "monitored": result.trial.monitored,
                    "last epoch": PERCENT(last),
                    "best epoch": PERCENT(highest),
                    "effect": POINTS(highest - last),
                    "best epoch is": best,
                }
            )
    return Table(rows, "Accuracy on the monitored images at the last epoch and at the best one.")


def times(results: Results) -> Table:
    """Show the times of each trial on the machine that trained it, training and predicting."""
    rows = [
        {
            "arm": results.study.title(arm, scenario),
            "trained": stage,
            "training": SECONDS(result.facts["seconds"]["training"]),
            "everything else": SECONDS(result.facts["seconds"]["other"]),
            "predicting an image": _MILLISECONDS(result.facts["seconds"].get("an image", math.nan)),
            "epochs": len(result.history),
            "peak memory of the process": _MEMORY(result.facts["peak_memory_mib"]),
        }
        for (scenario, arm, stage), result in results.trials.items()
    ]
    place = next(iter(results.trials.values())).facts["environment"]
    return Table(rows, caption("times", place=place))


def other_work(results: Results, arm: str, scenario: str = "") -> Table:
    """Show the paper's comparison with other papers, with its own claim and this run at the end."""
    paper = results.study.paper
    printed = [(row.reference, row.method, printed_number(row.accuracy)) for row in paper.tables.other_work]
    own = results.printed(arm, "test", "accuracy", scenario)
    printed.append(("this paper, as printed", paper.arms[arm].title, own))
    rows = [{"reference": by, "method": how, "accuracy": PERCENT.printed(found)} for by, how, found in printed]
    left_out = results.study.why_not_run([arm], scenario)
    ours = None if left_out else results.estimate(arm, "test", "accuracy", scenario)
    rows.append({"reference": OURS, "method": results.title(arm, scenario), "accuracy": PERCENT.score(ours, NOT_RUN)})
    return Table(rows, "Accuracies of other papers, on other images and splits: none of them is comparable.")


def not_comparable(results: Results, *arms: str) -> str:
    """Say by their numbers in `tables.conditions` which conditions hold for these arms, by default for all."""
    every, own = results.study.conditions(), set(results.study.conditions(*arms))
    numbers = [n for n, condition in enumerate(every, start=1) if condition in own]
    return f" Not comparable with the printed numbers: {numbered('condition', numbers)}." if numbers else ""


def numbered(word: str, numbers: Sequence[int]) -> str:
    """Refer to what is listed by its numbers: "conditions 1, 2, 5", or "conditions 1 to 3" without a gap."""
    first, last = numbers[0], numbers[-1]
    whole = len(numbers) > 2 and last - first == len(numbers) - 1
    shown = f"{first} to {last}" if whole else ", ".join(map(str, numbers))
    return f"{word}{'s' * (len(numbers) > 1)} {shown}"


def _format(metric):
    name = metric if isinstance(metric, str) else metric.name
    return {"loss": NUMBER, "training_loss": NUMBER, "training_seconds": SECONDS}.get(name, PERCENT)

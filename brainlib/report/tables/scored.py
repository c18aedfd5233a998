"""Tables of predictions that were made elsewhere, as `study.scoring.score_files` returns them."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence

from brainlib.papers.schema import Metric
from brainlib.report.table import COUNT, NUMBER, PERCENT, POINTS, Format, Table
from brainlib.report.tables import comparisons, scores
from brainlib.study.duplicates import duplicate_effects
from brainlib.study.results import Results, metric_name
from brainlib.study.verdicts import MARGIN, judge

_SCORES = ("accuracy", "sensitivity", "specificity", "precision", "f1", "auc", "loss")
_LONG = ("assumes", "reason", "where")  # columns that a terminal has no room for
_WIDTH = 100  # of captions in a terminal


def every(results: Results) -> list[Table]:
    """Show all that follows from the files."""
    study, scenario, tables = results.study, results.study.scenarios[0], []
    for arm in study.arms:
        tables += [of_file(results, arm), scores.per_class(results, arm, scenario), confusion(results, arm)]
    tables.append(comparisons.calibration(results, scenario))
    tables += [comparisons.same_images(results, scenario)] if len(study.arms) > 1 else []
    return tables + ([verdicts(results)] if study.paper.claims else [])


def of_file(results: Results, arm: str) -> Table:
    """Show the scores of a file, also without the test images that have a duplicate in training."""
    study, scenario = results.study, results.study.scenarios[0]
    classes, rows = study.paper.scenario(scenario), []
    trial = results.trial(arm, "test", scenario)
    test, trained = len(trial.part("test")), len(trial.part("train"))
    caption, columns = f"{results.title(arm, scenario)}: {test} test images", {"all": results}
    if study.unknown[arm]:
        caption += f"; {study.unknown[arm]}, so that none can be left out."
    else:
        effect = next(each for each in duplicate_effects(results, scenario) if each.arm == arm)
        columns["without duplicates"] = results.without_duplicates
        caption += f", of which {effect.leaked.n} have a duplicate among the {trained} training images."
        if effect.leaked.n:
            change = POINTS.text(effect.difference, effect.low, effect.high)
            alone = PERCENT.score(effect.leaked).text(unit=True)
            caption += f" Without these the accuracy changes by {change}; on these alone it is {alone}."
    for name in _SCORES:
        average = None if classes.positive or name in ("accuracy", "loss") else "macro"
        metric, how = Metric(name=name, average=average), NUMBER if name == "loss" else PERCENT
        row = {"score": metric_name(metric)}
        for images, each in columns.items():
            estimate = each.estimate(arm, "test", metric, scenario)
            row |= {images: how.score(estimate), f"n {images}": COUNT(estimate.n)}
        rows.append(row)
    of = f" Positive class: {classes.positive}." if classes.positive else " Macro: mean over the classes."
    return Table(rows, f"{caption}{of} With 95 % intervals.")


def confusion(results: Results, arm: str) -> Table:
    """Count the test images of each true class by their predicted class."""
    counts = results.confusion(arm, "test", results.study.scenarios[0])
    rows = [
        {"true": label} | {f"predicted {name}": COUNT(k) for name, k in own.items()} for label, own in counts.T.items()
    ]
    return Table(rows, f"{arm}: test images by true and predicted class.")


def verdicts(results: Results) -> Table:
    """Show the printed numbers that the files can answer, with and without duplicates."""
    rows, shown, conditions = [], set(), "; ".join(results.study.conditions())
    for claim in judge(results):
        if claim.reproduced is None or (place := (claim.arm, claim.stage, claim.metric, claim.value)) in shown:
            continue
        shown.add(place)
        how, without = Format.of(None, claim.unit), claim.without_duplicates
        rows.append(
            {
                "score": f"{claim.arm}, {claim.stage}: {metric_name(claim.metric)}",
                "printed": Format.of(claim.number, claim.unit)(claim.value),
                "images": "all",
                "n": COUNT(claim.reproduced.n),
                "these files": how.score(claim.reproduced),
                "verdict": claim.verdict,
                "where": claim.where,
                "reason": "; ".join(claim.reasons),
            }
        )
        if without and not any(results.study.unknown.values()):
            again = {"verdict": claim.verdict_without_duplicates}
            again |= {"n": COUNT(without.n), "these files": how.score(without)}
            rows.append({"images": "without duplicates"} | again)
    paper, points = results.study.paper, 100 * MARGIN
    caption = (
        f"Printed numbers of {paper.id} that these predictions answer; {sum(c.metric is None for c in paper.claims)} "
        f"others were not computed. Reproduced: the 95 % interval lies within {points:g} points of the printed number; "
        "not reproduced: wholly outside; inconclusive: neither."
    )
    return Table(rows, f"{caption} Not comparable, because of {conditions}." if conditions else caption)


def as_json(tables: Sequence[Table]) -> list[dict]:
    """Return tables as plain data, with numbers in natural units and null where one is not defined."""
    return [{"caption": each.caption, "rows": json.loads(each.frame.to_json(orient="records"))} for each in tables]


def lines(tables: Sequence[Table]) -> Iterator[str]:
    """Write tables as lines for a terminal."""
    for table in tables:
        yield from textwrap.wrap(table.caption, _WIDTH)
        narrow = [{name: cell for name, cell in row.items() if name not in _LONG} for row in table.rows]
        yield from Table(narrow, "").shown().to_string(index=False).splitlines() if narrow else ()
        yield ""

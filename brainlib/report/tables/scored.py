"""Tables of predictions that were made elsewhere, as `study.scoring.score_files` returns them."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Sequence

from brainlib.papers.schema import Metric
from brainlib.report.table import COUNT, NUMBER, PERCENT, Format, Table
from brainlib.report.tables import comparisons, scores
from brainlib.report.tables.captions import caption
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
    classes, trial, unknown = study.paper.scenario(scenario), results.trial(arm, "test", scenario), study.unknown[arm]
    effect = None if unknown else next(each for each in duplicate_effects(results, scenario) if each.arm == arm)
    rows, columns = [], {"all": results} | ({"without duplicates": results.without_duplicates} if effect else {})
    for name in _SCORES:
        average = None if classes.positive or name in ("accuracy", "loss") else "macro"
        metric, how = Metric(name=name, average=average), NUMBER if name == "loss" else PERCENT
        row = {"score": metric_name(metric)}
        for images, each in columns.items():
            estimate = each.estimate(arm, "test", metric, scenario)
            row |= {images: how.score(estimate), f"n {images}": COUNT(estimate.n)}
        rows.append(row)
    said = {"title": results.title(arm, scenario), "unknown": unknown, "effect": effect, "positive": classes.positive}
    said |= {part: len(trial.part(part)) for part in ("test", "train")}
    alone = effect and PERCENT.score(effect.leaked).text(unit=True)
    return Table(rows, caption("of_file", **said, alone=alone))


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
        how, without = Format.of(claim.unit), claim.without_duplicates
        rows.append(
            {
                "score": f"{claim.arm}, {claim.stage}: {metric_name(claim.metric)}",
                "printed": how.printed(claim.number),
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
    paper, others = results.study.paper, sum(claim.metric is None for claim in results.study.paper.claims)
    said = {"paper": paper.id, "others": others, "points": f"{100 * MARGIN:g}", "conditions": conditions}
    return Table(rows, caption("verdicts_of_files", **said))


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

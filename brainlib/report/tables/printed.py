"""What a paper's printed numbers imply by themselves: sizes of its parts, and its averaging.

Nothing here was trained; see `brainlib.papers.consistency.implied` for the arithmetic.
"""

from __future__ import annotations

import pandas as pd

from brainlib.data import splits
from brainlib.papers.consistency import implied, sizes
from brainlib.report.table import Table, percent
from brainlib.study.study import Study

_FOUR = ("accuracy", "precision", "sensitivity", "f1")


def split_sizes(study: Study) -> Table:
    """Sizes of the validation and test parts that admit every printed accuracy of each scenario.

    Beside them stands what the split of this project draws from the published set.
    """
    rows = []
    for scenario in study.paper.scenarios or ("",):
        for part in (splits.VALIDATION, splits.TEST):
            claims = sizes.accuracies(study.paper, scenario, part)
            drawn = sizes.drawn_size(study.paper, scenario, part)
            if not claims or not drawn:
                continue
            printed = [claim.number for claim in claims]
            fitting = implied.fitting_sizes(
                printed,
                round(drawn * (1 + sizes.AROUND)),
                round(drawn * (1 - sizes.AROUND)),
            )
            rows.append(
                {
                    "scenario": study.paper.scenario(scenario).title,
                    "images": sizes.published_size(study.paper, scenario),
                    "part": part,
                    "different accuracies printed": len({p.value for p in printed}),
                    "sizes that admit them all, rounded": _listed(fitting.rounded),
                    "rounded or cut off": _listed(fitting.truncated),
                    "this split draws": drawn,
                }
            )
    caption = (
        f"Sizes within {percent(sizes.AROUND, 0)} of what is drawn, of which every printed "
        "accuracy is a whole number of images."
    )
    return Table(pd.DataFrame(rows), caption)


def averaging(study: Study) -> Table:
    """Printed rows of models that give every image one class, which tell how scores were averaged.

    Below each, what such a model prints with weighted and with macro averages.
    """
    rows = []
    for (arm, phase, scenario), row in _test_rows(study.paper).items():
        printed = [row[name].number for name in _FOUR]
        if not implied.is_collapsed(*printed):
            continue
        classes = study.paper.scenario(scenario).classes
        found = implied.collapse_rows(*printed, n=row["accuracy"].n, classes=len(classes))
        for kind, scores in found.iterrows():
            first = kind == "printed"
            rows.append(
                {
                    "row": f"{study.paper.arms[arm].title}, {phase}" if first else "",
                    "scenario": study.paper.scenario(scenario).title if first else "",
                    "n": row["accuracy"].n if first else "",
                    "numbers": kind if first else f"{kind} averages",
                    **{name: percent(scores[name]) for name in _FOUR},
                }
            )
    caption = (
        "Printed rows that are those of a model calling every image one class, and what such a "
        "model scores by either average, a class that is never predicted counting 0."
    )
    return Table(pd.DataFrame(rows), caption)


def _test_rows(paper):
    """Claims of the four scores on the test images by (arm, phase, scenario), where all are there.

    Of a score that is printed in several places, the first.
    """
    rows = {}
    for claim in paper.claims:
        if claim.metric and claim.stage == "test" and claim.metric.name in _FOUR:
            phase = claim.phase or paper.arms[claim.arm].phases[-1].name
            row = rows.setdefault((claim.arm, phase, claim.scenario or ""), {})
            row.setdefault(claim.metric.name, claim)
    return {place: row for place, row in rows.items() if len(row) == len(_FOUR)}


def _listed(sizes):
    return ", ".join(map(str, sizes)) or "none"

"""Tables of a trial and of its result."""

from __future__ import annotations

import dataclasses

from brainlib.report.table import PERCENT, Table
from brainlib.trials.trial import Trial, TrialResult


def trial(trial: Trial) -> Table:
    """List everything that determines the result of a trial."""
    rows = []
    for field in dataclasses.fields(trial):
        value = getattr(trial, field.name)
        for part in value if field.name == "phases" else [value]:
            if dataclasses.is_dataclass(part):
                own = {k: v for k, v in dataclasses.asdict(part).items() if v not in ("", (), None)}
                part = ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in own.items() if k != "file")
            rows.append({"setting": field.name.replace("_", " "), "value": str(part)})
    return Table(rows, f"{trial.name}, stored as {trial.key}")


def trial_result(result: TrialResult) -> Table:
    """Show how many predictions of each part are right, by the most probable class."""
    rows = []
    for part in result.predictions["part"].unique():
        table = result.part(part)
        most = table[[f"p_{name}" for name in result.trial.classes]].to_numpy().argmax(axis=1)
        right = table["label"].to_numpy() == [result.trial.classes[n] for n in most]
        rows.append({"part": part, "images": len(table), "accuracy": PERCENT(float(right.mean()))})
    seconds = result.facts["seconds"]["training"]
    return Table(
        rows, f"{result.trial.name}: {len(result.history)} epochs in {seconds:.0f} s, stored as {result.trial.key}"
    )

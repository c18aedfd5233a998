"""Tables of what a run does, its options, images and accuracies, and of single trials."""

from __future__ import annotations

import dataclasses
from collections import Counter

from brainlib.report import pages
from brainlib.report.table import COUNT, PERCENT, PERCENT1, Table
from brainlib.report.tables.captions import caption
from brainlib.study import conditions
from brainlib.study.options import KAGGLE, PHANTOMS
from brainlib.study.results import Results
from brainlib.study.study import Study
from brainlib.trials.trial import Trial, TrialResult


def summary(study: Study) -> Table:
    """Show what a run does, in a few rows."""
    data, options = study.dataset, study.options
    used = min(study.profile.images or len(data.table), len(data.table))
    source = options.source if options.source in (KAGGLE, PHANTOMS) else "a folder of this machine"
    if source == PHANTOMS and not data.phantom:
        source = "what the study was given"
    last, common = options.seed + options.seeds - 1, conditions.of_study(study)
    rows = {
        "profile": options.profile,
        "data set": f"{data.info.title}, from {source}",
        "images": f"{used} of {len(data.table)}, at {study.size} x {study.size} pixels",
        "fingerprint": data.fingerprint,
        **({"not comparable": "; ".join(common)} if common else {}),
        **{f"arm {arm}": "; ".join([study.title(arm), *conditions.of_arm(study, arm)]) for arm in study.arms},
        **{f"weights of {arm}": study.weights[arm].label for arm in study.arms},
        "not run": ", ".join(study.not_run()) or "nothing: every arm of the paper is run",
        "seed": options.seed if options.seeds == 1 else f"{options.seed} to {last}, each with every arm",
    }
    shown = [{"what": what, "this run": str(value)} for what, value in rows.items()]
    return Table(shown, f"What this run of {study.paper.id} does.")


def errors(
    results: Results, arm: str, stage: str = "test", scenario: str = "", phase: str = "", most: int = 24
) -> Table:
    """Show the images whose predicted class is wrong, with thumbnails, the surest first; `most` of them."""
    wrong, n = results.errors(arm, stage, scenario, phase), len(results.predictions(arm, stage, scenario, phase))
    probability = [wrong.at[row, f"p_{predicted}"] for row, predicted in wrong["predicted"].items()]
    shown = wrong.assign(probability=probability).sort_values("probability", ascending=False, kind="stable").head(most)
    rows = [
        {"path": row.path, "true": row.label, "predicted": row.predicted, "probability": PERCENT1(row.probability)}
        for row in shown.itertuples()
    ]
    first = f", the {len(rows)} of the highest probability" if len(rows) < len(wrong) else ""
    counted = f"{results.study.title(arm)}: {len(wrong)} of {n} images predicted wrongly ({stage}){first}."
    return Table(rows, counted, [pages.thumbnail_url(file) for file in shown["file"]])


def data(study: Study) -> Table:
    """Show the images of each class and published part, their published number, and the duplicates among those used."""
    data = study.dataset
    table = data.table.assign(group=data.group_ids(), used=False)
    table.loc[study.used_rows(), "used"] = True
    table = table.sort_values("part", ascending=False, kind="stable")  # a test image is the duplicate, not the original
    table["duplicate"] = table["used"] & table[["group", "used"]].duplicated()
    published = {(folder.part, folder.label): folder.count for folder in data.info.folders}
    parted, rows = table["part"].any(), []
    for (part, label), own in table.groupby(["part", "label"], sort=False):
        row = {"part": part} if parted else {}
        row |= {"class": label, "images": len(own)}
        row |= {"published": published[part, label]} if published else {}
        row |= {"used": int(own["used"].sum()), "duplicates among those used": int(own["duplicate"].sum())}
        row |= {"patients": own["patient"].nunique()} if own["patient"].notna().any() else {}
        rows.append(row | {"modes": ", ".join(sorted(own["mode"].unique()))})
    all_parts = parted and study.paper.protocol.holdout.value != "published"
    return Table(rows, caption("data", data=data, all_parts=all_parts))


def overview(results: Results) -> Table:
    """Show the accuracy of each final model on the images held out: what a notebook shows of `Results`."""
    study, rows = results.study, []
    for scenario in study.scenarios:
        for arm in study.arms:
            found = results.estimate(arm, "test", "accuracy", scenario)
            rows.append({"arm": results.title(arm, scenario), "accuracy": PERCENT.score(found), "n": found.n})
    trained = f"{study.paper.id}, models trained: {len(results.trials)}."
    return Table(rows, f"{trained} Accuracy on the test images, with 95 % intervals.")


def networks(results: Results) -> Table:
    """Show the layers of each arm's final model, with how many of their parameters each phase trained."""
    study, rows = results.study, []
    for arm in study.arms:
        here = study.backbone(arm)
        title = study.title(arm) + f", here {here}" * (here != study.stated_backbone(arm))
        own = results.trial(arm, "test", study.scenarios[-1]).facts.get("layers", [])
        every = {"layers": "all", "parameters": sum(row["parameters"] for row in own), "trained": Counter()}
        for row in own:
            every["trained"].update(row["trained"])
        for row in [*own, every] if own else []:
            shown = {"arm": title, **row, "output": " × ".join(map(str, row.get("output", [])))}
            trained = {f"trained: {phase}": COUNT(count) for phase, count in shown.pop("trained").items()}
            rows.append(shown | {"parameters": COUNT(row["parameters"])} | trained)
            title = ""
    return Table(rows, caption("networks", size=study.size, some=bool(rows)))


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
        right = table[[f"p_{name}" for name in result.trial.classes]].idxmax(axis="columns") == "p_" + table["label"]
        rows.append({"part": part, "images": len(table), "accuracy": PERCENT(float(right.mean()))})
    seconds = result.facts["seconds"]["training"]
    trained = f"{len(result.history)} epochs in {seconds:.0f} s"
    return Table(rows, f"{result.trial.name}: {trained}, stored as {result.trial.key}")

"""Write the tables of README.md and of pages in docs, the figures beside them, and the index's summary.

Run ``python docs/make_results.py`` after a reference run (reports/reference/*/results.json) was added or changed. A
table stands between the comments ``<!-- table: NAME -->`` and ``<!-- end -->``; NAME is a function of this file. A
number in a sentence stands between ``<!-- NAME -->`` and ``<!---->``; NAME is an entry of `values`. The summary,
brainlib/report/reference.json, is what the index of every run shows of the reference runs. ``brainlib verify`` compares
what is committed with what this command writes.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from functools import cache, partial
from pathlib import Path

import matplotlib
import pandas as pd
from matplotlib.ticker import PercentFormatter
from pydantic import TypeAdapter

from brainlib.audit.overview import DataAudit
from brainlib.audit.shortcuts import APART, PUBLISHED
from brainlib.data.registry import REGISTRY
from brainlib.papers.conclusions import as_printed
from brainlib.papers.consistency import check_paper
from brainlib.papers.loading import load_paper, paper_ids
from brainlib.report.consistency import impossible
from brainlib.report.figures import Plot, forest, metrics, overlap_map, specification_curve, style
from brainlib.report.headlines import Finding, Headline, Reference, headline_of
from brainlib.report.table import NONE, PERCENT, PERCENT0, PERCENT1, POINTS, Format
from brainlib.study import kept, records
from brainlib.study.controls import SHUFFLED
from brainlib.study.duplicates import FOLDS, DuplicateEffect
from brainlib.study.external import KIND, TUMOUR, ExternalScore
from brainlib.study.leakage import PATIENT, SplitEffect, split_effects
from brainlib.study.multiverse import NO_DIFFERENCE, Multiverse
from brainlib.study.options import Options
from brainlib.study.saliency import ALL, LESION_SCORES, SAME, HeatMapScore
from brainlib.study.verdicts import INCONCLUSIVE, MARGIN, NOT_COMPARABLE
from brainlib.trials import devices

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "README.md", *(ROOT / "docs" / f"{name}.md" for name in ("results", "options", "sets", "statistics")))
IMAGES = ROOT / "docs" / "img"
SUMMARY = ROOT / "brainlib" / "report" / "reference.json"
TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
VALUE = re.compile(r"(<!-- (\w+) -->)[^<]*(<!---->)")
SETS = {
    "br35h": "Br35H",
    "navoneel": "Navoneel",
    "sartaj": "Sartaj",
    "dubail": "Dubail",
    "nickparvar": "Nickparvar",
    "cheng": "Cheng",
}
JARDIM, HAJHASHEM, KRUSZYK = "jardim-mobilenet_025-5_seeds", "hajhashem-mobilenet_v2", "kruszyk-mobilenet_025"
AUDIT, YIM = "audit", "yim-mobilenet_025"
LU, BOTH = "lu-mobilenet", "jardim-mobilenet_025"
#: The run of today that stands beside the run of November of each paper.
NOW = {"jardim": BOTH, "hajhashem": HAJHASHEM, "lu": LU, "kruszyk": KRUSZYK}
SCENARIOS = {
    "glioma": ("glioma or normal", 1),
    "meningioma": ("meningioma or normal", 3),
    "pituitary": ("pituitary or normal", 5),
    "four": ("four classes", 7),
}

#: Runs whose universes were trained: paper, model and run.
UNIVERSES = (
    ("jardim", "MobileNet 0.25 for ResNet50V2", "jardim-multiverse"),
    ("hajhashem", "MobileNetV2 for ResNet18", "hajhashem-multiverse"),
)
MOST_EFFECTS = 6  # of an arm's alternatives that are listed

#: The run, paper and arm whose model stands beside other classifiers.
MODELS = {
    "jardim": (JARDIM, "jardim", "transfer"),
    "hajhashem": (HAJHASHEM, "hajhashem", "resnet18"),
    "lu": (LU, "lu", "mobilenet"),
    "kruszyk": (KRUSZYK, "kruszyk", "resnet50"),
    "yim": (YIM, "yim", "resnet50v2"),
}

#: Rows of the headline table and of the figure: paper, data set, model, run and claim.
HEADLINES = (
    ("jardim", "Br35H", "CNN", BOTH, "abstract.en.cnn.accuracy"),
    ("jardim", "Br35H", "MobileNet 0.25 for ResNet50V2", JARDIM, "abstract.en.transfer.accuracy"),
    ("hajhashem", "Navoneel", "MobileNetV2 for ResNet18", HAJHASHEM, "abstract.accuracy"),
    *(
        ("lu", "Sartaj", f"MobileNet, {title}", LU, f"table{table + 1}.mobilenet.accuracy")
        for title, table in SCENARIOS.values()
    ),
    ("kruszyk", "Dubail", "MobileNet 0.25 for ResNet-50", KRUSZYK, "table2.resnet50.accuracy"),
    ("yim", "Nickparvar", "CNN", YIM, "abstract.cnn.accuracy"),
    ("yim", "Nickparvar", "MobileNet 0.25 for ResNet50V2", YIM, "section3.accuracy"),
)


@cache
def run(name: str) -> dict:
    """Read a reference run."""
    return json.loads((ROOT / "reports" / "reference" / name / "results.json").read_text(encoding="utf-8"))


@cache
def stored(name: str, paper: str) -> records.PaperResult:
    """Read what a reference run found for a paper, as the records that the index shows."""
    return records.read(ROOT / "reports" / "reference" / name / "results.json", records.Run).papers[paper].result


@cache
def audited() -> DataAudit:
    """Read the audit of all sets."""
    return records.read(ROOT / "reports" / "reference" / AUDIT / "results.json", records.Run).audit.result


@cache
def reference() -> Reference:
    """Sum up the reference runs: their headlines and findings."""
    rows = []
    for paper, images, model, name, wanted in HEADLINES:
        found = stored(name, paper)
        claim = next(each for each in found.claims if each.id == wanted)
        rows.append(headline_of(found, claim, model, images))
    dates = sorted({run(name)["created"][:10] for *_, name, _ in HEADLINES})
    source = f"{' to '.join(dict.fromkeys((dates[0], dates[-1])))}, published images, full protocols, seed 0"
    return Reference(source=source, headlines=tuple(rows), findings=tuple(_findings(rows)))


def _findings(rows: list[Headline]):
    """Say what was found, from the stored numbers."""
    verdicts = Counter(row.claim.verdict for row in rows)
    compared = len(rows) - verdicts[NOT_COMPARABLE]
    counts = ", ".join(f"{n} {verdict}" for verdict, n in verdicts.items() if verdict != NOT_COMPARABLE)
    small = [row.claim.reproduced.n for row in rows if row.claim.verdict == INCONCLUSIVE]
    yield Finding(
        sentence=f"{compared} of {len(rows)} test accuracies can be compared with the printed ones; of these "
        f"{verdicts['reproduced'] or 'none'} {'is' if verdicts['reproduced'] < 2 else 'are'} reproduced: {counts} "
        f"(on {min(small)} to {max(small)} images their intervals reach across the margin of {100 * MARGIN:g} points).",
        source=f"{_source(BOTH, 'jardim', 'CNN')}; {_source(LU, 'lu', 'MobileNet')}; {_source(YIM, 'yim', 'CNN')}. "
        f"The other {verdicts[NOT_COMPARABLE]} models have another backbone than the paper's.",
    )
    found = effect(BOTH, "jardim", "cnn")
    yield Finding(
        sentence=f"In the split that the paper jardim describes, {found.leaked.n} of {found.published.n} test images "
        "of Br35H have a duplicate in training. Without them the CNN's accuracy is "
        f"{score(found.without_duplicates)} in place of {PERCENT.text(found.published.value)}.",
        source=_source(BOTH, "jardim", "CNN"),
    )
    controls = {(each.control, each.split): each for each in stored(BOTH, "jardim").controls if each.arm == "cnn"}
    drawn, apart = controls[SHUFFLED, PUBLISHED], controls[SHUFFLED, APART]
    yield Finding(
        sentence=f"On labels drawn at random the same protocol still scores {score(drawn)}, where chance is "
        f"{PERCENT0.text(drawn.chance)}: its test set measures whether an image is remembered. With duplicates kept "
        f"apart it scores {score(apart)}.",
        source=f"{_source(BOTH, 'jardim', 'CNN')}; balanced accuracy",
    )
    yield from _of_universes()


def _of_universes():
    """Say of the universes of the first paper how many come to what it prints."""
    (paper, _, name), (_, _, found) = UNIVERSES[0], _universes()[0]
    score = next(each for each in found.reached if each.claim == found.claim)
    test = next(each for each in found.reached if each.printed == NO_DIFFERENCE)
    yield Finding(
        sentence=f"Of {score.n} trained readings of {paper}, {score.universes} reach its {score.printed} "
        f"({PERCENT1.text(score.low)} to {PERCENT1.text(score.high)}); in {test.universes} the t-test finds no "
        "difference.",
        source=f"{run(name)['created'][:10]}, the same images and model",
    )


def _source(name: str, paper: str, model: str) -> str:
    """State the date, the images and the model of a run."""
    used, images = stored(name, paper).data.used, {row[0]: row[1] for row in HEADLINES}[paper]
    return f"{run(name)['created'][:10]}, {used} published images of {images}, {model}, seed 0"


def result(name: str, paper: str) -> dict:
    """Return what a run found for a paper."""
    return run(name)["papers"][paper]["result"]


@cache
def claim(name: str, paper: str, wanted: str) -> dict:
    """One claim of a paper with what a run found."""
    return next(each for each in result(name, paper)["claims"] if each["id"] == wanted)


def effect(name: str, paper: str, arm: str, scenario: str = "", of: str = "accuracy") -> DuplicateEffect:
    """Return a score of an arm as published, without duplicates, and retrained."""
    wanted = (arm, scenario, of)
    return next(each for each in stored(name, paper).duplicates if (each.arm, each.scenario, each.score) == wanted)


def score(found: object, form: Format = PERCENT) -> str:
    """Write a score, a record or a dict of one, with its interval."""
    found = found if isinstance(found, dict | None) else vars(found)
    return form.text(found["value"], found["low"], found["high"]) if found else NONE


def compared(name: str, paper: str, wanted: str) -> list[str]:
    """Return the columns printed, reproduced, images and verdict of a claim."""
    found = claim(name, paper, wanted)
    return [found["printed"], score(found["reproduced"]), str(found["reproduced"]["n"]), found["verdict"]]


VALUES = ["printed", "this project (95 % interval)", "images", "verdict"]


def headlines():
    """Test accuracies of every reference run."""
    rows = []
    for row in reference().headlines:
        claim, without = row.claim, row.claim.without_duplicates
        left = f"{score(without)} of {without.n}" if without else NONE
        model, images = f"`{row.paper}`: {row.name}", f"{row.images}, {claim.reproduced.n}"
        rows.append([model, images, claim.printed, score(claim.reproduced), left, claim.verdict])
    head = ["paper and model", "data set, test images", "printed", "this project (95 % interval)", "without duplicates"]
    return [*head, "verdict"], rows


def findings():
    """List what the reference runs found."""
    return "".join(f"- {found.sentence}\n" for found in reference().findings)


def runs():
    """List the reference runs with their conditions, time and memory."""
    rows = []
    for path in sorted((ROOT / "reports" / "reference").glob("*/results.json")):
        for paper, entry in run(path.parent.name)["papers"].items():
            rows.append([f"`{path.parent.name}`", f"`{paper}`", *_conditions(path.parent, entry["result"])])
    found = about("patients")
    where = "{cores} x {processor}".format(**found["environment"])
    more = [found["created"][:10], str(found["models"]), "1", "three splits", f"{found['seconds'] / 60:.0f} min", NONE]
    rows.append(["`cheng-patients`", f"`{found['protocol']}`", *more, where])
    head = ["run", "paper", "date", "models kept", "seeds", "also", "training", "peak memory", "cores and processor"]
    return head, rows


def _conditions(folder: Path, found: dict) -> list[str]:
    """Write the conditions of a run; what was kept of its models, if anything."""
    described = folder / kept.MODELS
    models = json.loads(described.read_text("utf-8"))["models"].values() if described.is_file() else []
    seconds = sum(each["seconds"]["training"] for each in models) or found["training_seconds"]
    also = [name for name in ("retrain", "controls") if found["options"][name]]
    also += [f"{n} universes"] if (n := found["options"].get("multiverse")) else []
    place = found["environment"]
    return [
        run(folder.name)["created"][:10],
        str(len(models)) if models else "none",
        str(found["options"]["seeds"]),
        ", ".join(also) or NONE,
        f"{seconds / 60:.0f} min",
        f"{max(each['peak_memory_mib'] for each in models) / 1024:.1f} GiB" if models else NONE,
        f"{place['cores']} x {place['processor']}",
    ]


def jardim():
    """List the claims of jardim, arm by arm."""
    rows = []
    for arm, title in (("cnn", "CNN"), ("transfer", "MobileNet 0.25 for ResNet50V2")):
        for metric in ("accuracy", "sensitivity", "specificity"):
            rows.append([f"{title}, test {metric}", *compared(BOTH, "jardim", f"abstract.en.{arm}.{metric}")])
        rows.append([f"{title}, test AUC", *compared(BOTH, "jardim", f"text.{arm}.auc")])
        rows.append([f"{title}, mean accuracy of 3 folds", *compared(BOTH, "jardim", f"text.{arm}.mean.accuracy")])
    t, p = (claim(BOTH, "jardim", f"text.{name}")["reproduced"]["value"] for name in "tp")
    rows.append(["unpaired *t*, transfer and CNN", "0.3977", f"{t:.4f} (p = {p:.3f})", "2400", "not comparable"])
    return ["number", *VALUES], rows


def jardim_seeds():
    """Five seeds of the frozen arm of jardim."""
    rows = []
    for title, wanted in (
        ("mean accuracy of 3 folds", "text.transfer.mean.accuracy"),
        ("standard deviation of the folds", "text.transfer.sd.accuracy"),
        ("test accuracy", "abstract.en.transfer.accuracy"),
        ("test AUC", "text.transfer.auc"),
    ):
        rows.append([title, *_by_seed(JARDIM, "jardim", wanted)])
    tests = [
        each["test"] | {"seed": each["seed"]}
        for each in result(JARDIM, "jardim")["tests"]
        if each["test"]["name"].startswith("unpaired") and each["on"].startswith("these folds")
    ]
    tests = sorted(tests, key=lambda test: test["seed"])
    rows.append(["unpaired *t*, CNN as printed", "0.3977", *(f"{test['t']:.3f}" for test in tests), ""])
    rows.append(["its *p*", "> 0.05", *(f"{test['p']:.3f}" for test in tests), ""])
    return ["number, %", "printed", *(f"seed {test['seed']}" for test in tests), "mean (95 % interval)"], rows


def _by_seed(name: str, paper: str, wanted: str) -> list[str]:
    """Return the columns of a claim: as printed, by seed in percent, and the mean over seeds with its interval."""
    found = claim(name, paper, wanted)
    return [found["printed"], *map(PERCENT.number, found["by_seed"]), score(found["mean_over_seeds"])]


def hajhashem():
    """List the four metrics of hajhashem."""
    rows = []
    for metric in ("accuracy", "precision", "recall", "f1"):
        names = "hajhashem-random_weights", HAJHASHEM
        random, other = (claim(name, "hajhashem", f"abstract.{metric}") for name in names)
        n = " and ".join(dict.fromkeys(str(each["reproduced"]["n"]) for each in (random, other)))
        rows.append(
            [metric.replace("f1", "F1"), random["printed"], *(score(each["reproduced"]) for each in (random, other)), n]
        )
    return ["number", "printed", "ResNet18, random weights", "MobileNetV2 for ResNet18", "images"], rows


def lu():
    """Test accuracies of MobileNet in the four scenarios of lu."""
    rows = [
        [title, phase, *compared(LU, "lu", f"table{table + later}.mobilenet.accuracy")]
        for title, table in SCENARIOS.values()
        for later, phase in enumerate(("transfer learning", "fine-tuning"))
    ]
    return ["scenario", "after", *VALUES], rows


def lu_seeds():
    """Test accuracies of lu after fine-tuning, by seed."""
    rows = [[title, *_by_seed(LU, "lu", f"table{table + 1}.mobilenet.accuracy")] for title, table in SCENARIOS.values()]
    seeds = range(result(LU, "lu")["options"]["seeds"])
    return ["scenario, %", "printed", *(f"seed {seed}" for seed in seeds), "mean (95 % interval)"], rows


def kruszyk():
    """List the main scores of kruszyk."""
    ids = ("accuracy", "precision", "f1")
    names = ("accuracy, weighted sensitivity", "weighted precision", "weighted F1")
    rows = [
        [name, *compared(KRUSZYK, "kruszyk", f"table2.resnet50.{each}")] for name, each in zip(names, ids, strict=True)
    ]
    return ["number", *VALUES], rows


def yim():
    """Numbers of yim's paper that are of an arm as a whole."""
    names = {
        "abstract.cnn.accuracy": "CNN, accuracy",
        "abstract.transfer.accuracy": "accuracy before fine-tuning",
        "section3.accuracy": "accuracy after fine-tuning",
        "section3.precision": "mean precision of the classes",
        "section3.sensitivity": "mean sensitivity",
        "section3.f1": "mean F1",
        "section3.loss": "loss",
    }
    return ["number", *VALUES], [[name, *compared(YIM, "yim", wanted)] for wanted, name in names.items()]


def sets():
    """Duplicates within each set."""
    rows = []
    for name, found in run(AUDIT)["audit"]["result"]["sets"].items():
        pixel, near = (found["duplicates"][kind] for kind in ("pixel", "near"))
        leaked = "no published split"
        if near["leaked_test_images"] is not None:
            all_near, same = (sum(each["leaked_test_images"].values()) for each in (near, pixel))
            leaked = f"{all_near} ({same} with the same pixels)"
        cells = [f"{each['images']} ({each['groups']})" for each in (pixel, near)]
        pairs = len(found["contradictions"])
        different = found["images"] - near["images"] + near["groups"]
        rows.append([SETS[name], str(found["images"]), *cells, str(different), leaked, str(pairs)])
    head = [
        "set",
        "images",
        "same pixels (groups)",
        "near-duplicates (groups)",
        "different, at most",
        "leaked test images",
        "pairs with contradictory labels",
    ]
    return head, rows


def duplicates():
    """Accuracies as published, without duplicates, and retrained with duplicates kept apart."""
    rows = []
    folds = ("", FOLDS)
    for title, *wanted in (
        ("`jardim`, CNN, test", BOTH, "jardim", "cnn"),
        ("`jardim`, CNN, mean of 3 folds", BOTH, "jardim", "cnn", *folds),
        ("`jardim`, MobileNet 0.25, test", JARDIM, "jardim", "transfer"),
        ("`jardim`, MobileNet 0.25, mean of 3 folds", JARDIM, "jardim", "transfer", *folds),
        ("`hajhashem`, MobileNetV2", HAJHASHEM, "hajhashem", "resnet18"),
        *((f"`lu`, MobileNet, {title}", LU, "lu", "mobilenet", name) for name, (title, _) in SCENARIOS.items()),
        ("`kruszyk`, MobileNet 0.25", KRUSZYK, "kruszyk", "resnet50"),
        ("`yim`, CNN", YIM, "yim", "cnn"),
        ("`yim`, MobileNet 0.25", YIM, "yim", "resnet50v2"),
    ):
        found = effect(*wanted)
        cells = [f"{PERCENT.text(each.value)} of {each.n}" for each in (found.published, found.without_duplicates)]
        difference = POINTS.text(found.difference, found.low, found.high, unit=False)
        rows.append(
            [
                title,
                *cells,
                difference,
                f"{score(found.retrained)} of {found.retrained.n}" if found.retrained else "not run",
            ]
        )
    head = ["accuracy", "as published", "without duplicates", "difference, points (95 %)"]
    return [*head, "retrained, duplicates kept apart"], rows


def controls():
    """Balanced accuracies of the negative controls."""
    columns = {
        "`jardim`, CNN": [each for each in result(BOTH, "jardim")["controls"] if each["arm"] == "cnn"],
        "`jardim`, MobileNet 0.25": result(JARDIM, "jardim")["controls"],
        "`hajhashem`, MobileNetV2": result(HAJHASHEM, "hajhashem")["controls"],
    }
    rows = [
        [cells[0]["control"], cells[0]["split"], *(f"{score(each)} of {each['n']}" for each in cells)]
        for cells in zip(*columns.values(), strict=True)
    ]
    return ["control", "split", *columns], rows


@cache
def _universes() -> list[tuple[str, str, Multiverse]]:
    """Return the paper, the model and the multiverse of each arm whose universes were trained."""
    return [(paper, model, each) for paper, model, name in UNIVERSES for each in stored(name, paper).multiverse]


def multiverse():
    """Write in how many universes and readings a printed number is reached, but those of single folds."""
    rows = []
    for paper, model, found in _universes():
        for each in (each for each in found.reached if ".fold" not in each.claim):
            form = PERCENT1 if each.scores else Format(digits=3)
            shares = [f"{k} of {n}" for k, n in ((each.universes, each.n), (each.readings, each.m))]
            values = [NONE if math.isnan(v) else form.text(v) for v in (each.low, each.median, each.high)]
            deviation = POINTS.text(each.deviation, unit=False).lstrip("+") if each.scores else NONE
            printed = each.printed if each.scores else f'"{each.printed}"'
            rows.append([f"`{paper}`, {model}", f"`{each.claim}`", printed, *shares, *values, deviation])
    head = ["paper and model", "claim", "printed", "universes", "readings", "lowest", "median", "highest"]
    return [*head, "SD of seeds, points"], rows


def multiverse_effects():
    """Write the largest effects of alternatives on the first printed test score of an arm."""
    rows = []
    for paper, _, found in _universes():
        for each in found.effects[:MOST_EFFECTS]:
            effect = POINTS.text(each.effect, each.low, each.high, unit=False)
            rows.append([f"`{paper}`, `{found.claim}`", f"`{each.setting}`", each.alternative, effect, str(each.n)])
    return ["paper and score", "setting", "alternative", "effect, points (95 %)", "specifications"], rows


@cache
def _november() -> list[tuple[dict, dict]]:
    """Pair each number of the runs of 2026-11-21 with what the run of today has found."""
    stored = about("november")
    then = [dict(zip(stored["columns"], row, strict=True)) for row in stored["rows"]]
    return [(each, claim(NOW[each["paper"]], each["paper"], each["claim"])) for each in then if each["paper"] in NOW]


def november():
    """Count the verdicts that the runs of 2026-11-21 had, and those of today, of the same printed numbers."""
    counts = Counter((then["paper"], then["verdict"], now["verdict"]) for then, now in _november())
    rows = []
    for paper in dict.fromkeys(paper for paper, *_ in counts):
        own = [(then, now, n) for (of, then, now), n in counts.items() if of == paper]
        same = [f"{n} {then}" for then, now, n in own if then == now]
        changed = [f"{n} {then}, now {now}" for then, now, n in own if then != now]
        total = sum(n for *_, n in own)
        rows.append([f"`{paper}`", str(total), "; ".join(same) or NONE, "; ".join(changed) or NONE])
    return ["paper", "numbers", "same verdict", "other verdict"], rows


def november_changes():
    """List the numbers whose verdict differs from that of 2026-11-21; what is printed twice comes once."""
    rows = {}
    for then, now in _november():
        if then["verdict"] != now["verdict"]:
            limits = [[each[name] for name in ("value", "low", "high")] for each in (then, now["reproduced"])]
            cells = [Format.of(now["unit"]).text(*each) for each in limits]
            row = [now["printed"], f"{cells[0]}: {then['verdict']}", f"{cells[1]}: {now['verdict']}"]
            rows.setdefault(tuple(row), [f"`{then['paper']}`, `{then['claim']}`", *row])
    return ["number", "printed", "2026-11-21", "today"], list(rows.values())


@cache
def measured(name: str, kind: type) -> tuple:
    """Read the records that docs/make_external.py has stored."""
    return TypeAdapter(tuple[kind, ...]).validate_python(about(name)["rows"])


@cache
def about(name: str) -> dict:
    """Read what docs/make_external.py has stored: the rows and their conditions."""
    return json.loads((ROOT / "docs" / "data" / f"{name}.json").read_text(encoding="utf-8"))


@cache
def patient_splits() -> tuple[SplitEffect, ...]:
    """Score the kept predictions for Cheng's set, split in three ways."""
    tested = kept.restored(pd.read_parquet(ROOT / "reports" / "reference" / "cheng-patients" / "predictions.parquet"))
    return tuple(split_effects(tested, about("patients")["classes"], about("patients")["seed"]))


def patients():
    """Write balanced accuracies on Cheng's set split in three ways."""
    rows = []
    for each in patient_splits():
        shares = [PERCENT1.text(share) for share in (each.duplicates, each.patients)]
        change = POINTS.text(each.difference.value, each.difference.low, each.difference.high, unit=False)
        rows.append(
            [each.split, str(each.score.n), score(each.score), *shares, NONE if each.split == PATIENT else change]
        )
    head = ["split by", "images", "balanced accuracy (95 % interval)", "duplicate in training", "patient in training"]
    return [*head, "minus split by patient, points"], rows


def external(task: str, part: str):
    """Write the matrix of one task: the sets trained on and tested on."""
    found = [each for each in measured("external", ExternalScore) if each.task == task]
    names = [name for name in SETS if any(name == each.tested_on for each in found)]
    rows = []
    for trained in (name for name in SETS if any(name == each.trained_on for each in found)):
        cells = {each.tested_on: each for each in found if each.trained_on == trained}
        rows.append([SETS[trained], *(_external(cells.get(name), part) for name in names)])
    return ["trained on", *(f"on {SETS[name]}" for name in names)], rows


def _external(found: ExternalScore | None, part: str) -> str:
    """Write a score with the number of images behind it, or why there is none."""
    if found is None:
        return NONE
    each, gone = getattr(found, part), ", ".join(name for name, n in found.left.items() if not n)
    own = "*held out* " if found.trained_on == found.tested_on else ""
    if not each.n or (part == "external" and gone):
        return f"no *{gone}* images, {each.n} in all" if each.n else "nothing left"
    return f"{own}{PERCENT1.text(each.value, each.low, each.high, unit=False)} of {each.n}"


external_tumour = partial(external, TUMOUR, "external")
published_tumour = partial(external, TUMOUR, "published")
external_kind = partial(external, KIND, "external")
published_kind = partial(external, KIND, "published")


def shares():
    """Write which share of each set has a duplicate in each other one, and which share of these mirrored alone."""
    found, rows = audited(), []
    for name, each in found.sets.items():
        cells = []
        for other in found.sets:
            share, mirrored = found.share(name, other) if name != other else (0, 0)
            note = f", {PERCENT0.text(mirrored)} of it mirrored" if mirrored >= 0.005 else ""
            cells.append(NONE if name == other else f"{PERCENT0.text(share)}{note}")
        rows.append([f"{SETS[name]}, {each.images}", *cells])
    return ["of the set", *(f"in {SETS[name]}" for name in found.sets)], rows


def leaks():
    """Write how many published test images have a duplicate in training, by the least alteration that tells of it."""
    rows = []
    for name, found in about("leaks")["leaks"].items():
        kinds = [found[kind] for kind in ("byte", "pixel", "facing", "near")]
        share = PERCENT0.text(kinds[-1] / found["test"])
        more = [str(each - less) for each, less in zip(kinds, [0, *kinds], strict=False)]
        rows.append([f"{SETS[name]}, {found['test']}", f"{kinds[-1]} ({share})", *more])
    head = ["published test images", "with a duplicate in training", "same bytes", "same pixels", "altered"]
    return [*head, "altered and mirrored"], rows


def lesions():
    """Write how well heat maps find Cheng's outlined tumours, by model and method."""
    rows = {}
    for each in measured("lesions", HeatMapScore):
        if each.images == ALL:
            form = Format(digits=2) if each.score == SAME else PERCENT0
            row = rows.setdefault((each.arm, each.method), [each.arm, each.method, *[NONE] * len(LESION_SCORES)])
            row[2 + LESION_SCORES.index(each.score)] = form.text(each.value, each.low, each.high)
    return ["model", "map", *LESION_SCORES], list(rows.values())


def lesion_thirds():
    """Write how often the hottest pixel lies in the tumour, by its size and by the confidence of the first model."""
    found = [each for each in measured("lesions", HeatMapScore) if each.images != ALL]
    found, rows = [each for each in found if each.arm == found[0].arm], {}
    for each in found:
        row = rows.setdefault(each.images, [each.images, str(each.n), PERCENT1.text(each.reference)])
        row.append(PERCENT0.text(each.value, each.low, each.high))
    methods = dict.fromkeys(each.method for each in found)
    return ["slices", "n", "tumour's share of the image", *methods], list(rows.values())


def _shortcuts():
    """Yield, by paper, scenario and split, what classifiers without a network score and what a trained model does."""
    for paper, found in about("shortcuts")["papers"].items():
        for scenario, split in dict.fromkeys((each["scenario"], each["split"]) for each in found):
            cells = [each for each in found if (each["scenario"], each["split"]) == (scenario, split)]
            trained = effect(*MODELS[paper], scenario)
            yield paper, scenario, split, cells, trained.retrained if split == APART else trained.published


def shortcuts():
    """Write what classifiers without a network score by the protocol of each paper, beside a model of this project."""
    rows = []
    for paper, scenario, split, cells, model in _shortcuts():
        chance = PERCENT0.text(cells[0]["chance"])
        scores = [score(each, PERCENT1) for each in (*cells, model)]
        name = f"`{paper}`, {_images_of(paper, scenario)}"
        rows.append([name, split, str(cells[0]["n"]), chance, *scores])
    names = [each["control"] for each in cells]
    return ["paper, set", "split", "test images", "chance", *names, "accuracy of a model"], rows


def _images_of(paper: str, scenario: str) -> str:
    """Name the set of a paper, and of several scenarios the one that is meant."""
    return SETS[load_paper(paper).data.set.value] + (f", {scenario}" if scenario else "")


def shortcuts_of_sets():
    """Write what classifiers without a network score on each set as a whole."""
    rows = []
    for name, found in about("shortcuts")["sets"].items():
        for split, cells in found["scores"].items():
            n = next(iter(cells.values()))["n"]
            rows.append([SETS[name], split, str(n), *(score(each, PERCENT1) for each in cells.values())])
    return ["set", "split", "images predicted", *cells], rows


def checks():
    """Count the checks of the printed numbers by their finding."""
    rows = []
    for paper in paper_ids():
        findings = [check.finding for check in check_paper(load_paper(paper))]
        counts = [str(findings.count(finding)) for finding in ("impossible", "conditional")]
        rows.append([f"`{paper}`", str(len(findings)), *counts])
    return ["paper", "checks", "impossible", "conditional"], rows


def conclusions():
    """Show what the printed numbers make of the papers' conclusions, and how likely each is to be false by them."""
    rows = []
    for paper in map(load_paper, paper_ids()):
        for each in as_printed(paper):
            chance = " to ".join(map(PERCENT1.text, each.p_false)) if each.p_false else NONE
            rows.append([f"`{paper.id}`", f'"{each.quote}"', each.where, each.verdict, chance])
    return ["paper", "conclusion", "where", "by the printed numbers", "P(false)"], rows


def registry():
    """List the registered sets with their versions and the hashes of their files."""
    rows = []
    for name, info in REGISTRY.items():
        classes = ", ".join(f"{sum(f.count for f in info.folders if f.label == each)} {each}" for each in info.classes)
        # The first digits, as elsewhere; the whole hash is in the registry.
        files = f"`{info.sha256[:16]}...`" if info.sha256 else NONE
        rows.append([f"`{name}`", f"[{info.handle}]({info.url})", classes, files, info.licence])
    return ["set", "version", "images", "hash of the files", "licence"], rows


def options():
    """List the options of a run with their defaults."""
    rows = [["`--papers`", "all", "papers to run, A,B"]]
    for name, field in Options.model_fields.items():
        default = field.get_default()
        shown = f"`{default}`" if default or default == 0 and default is not False else NONE
        rows.append([f"`--{name}`", shown, " ".join(field.description.split())])
    rows.append(["`--jobs`", NONE, devices.RULE])
    return ["option", "default", "meaning"], rows


def verdicts():
    """List the verdicts of test accuracies, with their duplicate groups and as if all images were independent."""
    rows = {}
    for name, paper in ((BOTH, "jardim"), (LU, "lu"), (YIM, "yim")):
        for each in stored(name, paper).claims:
            accuracy = each.metric and (each.stage, each.metric.name, each.metric.over) == ("test", "accuracy", "value")
            if not accuracy or not each.reproduced or each.verdict == NOT_COMPARABLE:
                continue
            found, naive = each.reproduced, each.reproduced.naive
            row = [each.printed, str(found.n), score(found), each.verdict, NONE, NONE]
            if naive:  # else no two images are of one group, or the run is of earlier code
                row[1] = f"{found.n} ({found.n / found.design_effect:.0f})"
                row[2:] = [PERCENT.text(found.value, naive.low, naive.high), each.naive_verdict, *row[2:4]]
            rows.setdefault((paper, each.number.value, found.value, found.n), [f"`{paper}`, {each.id}", *row])
    head = [
        "claim",
        "printed",
        "images (effective)",
        "as if independent",
        "verdict",
        "with duplicate groups",
        "verdict",
    ]
    return head, list(rows.values())


def _coverages() -> dict[tuple[str, int], dict[str, list[dict]]]:
    """Return the rows of benchmarks/coverage.py by set and number of images, and by score."""
    found: dict = {}
    for row in about("coverage")["rows"]:
        name = {"f1": "F1", "auc": "AUC"}.get(row["metric"], row["metric"])
        found.setdefault((row["set"], row["n"]), {}).setdefault(name, []).append(row)
    return found


def coverage():
    """Write the mean and the range of the coverage over true scores and correlations, with groups and without."""
    rows, metrics = [], list(next(iter(_coverages().values())))
    for (name, n), by_metric in _coverages().items():
        for kind, title in (("groups", "groups"), ("naive", "as if independent")):
            shares = [[row[kind] for row in by_metric[metric]] for metric in metrics]
            means = [PERCENT1.number(sum(each) / len(each)) for each in shares]
            ranges = [style.span([100 * share for share in each], ".0f") for each in shares]
            cells = [f"{mean} ({ends})" for mean, ends in zip(means, ranges, strict=True)]
            rows.append([f"{SETS[name]}, {n}", title, *cells])
    return ["test images", "interval", *metrics], rows


def coverage_figure() -> Plot:
    """Draw the coverage of each score over the sets and numbers of images: the mean, and the range."""
    found, looks = _coverages(), {"groups": ("#0072b2", "o", -0.12), "naive": ("#d55e00", "s", 0.12)}
    metrics = list(next(iter(found.values())))
    figure, grid = style.multiples(metrics, 3, 2.9, 0.9)
    for axes, metric in zip(grid.flat, metrics, strict=False):
        style.tidy(axes)
        axes.axhspan(0.93, 0.97, color="0.9", zorder=0)
        for kind, (colour, marker, shift) in looks.items():
            for x, by_metric in enumerate(found.values()):
                shares = [row[kind] for row in by_metric[metric]]
                axes.plot([x + shift] * 2, [min(shares), max(shares)], color=colour, lw=2)
                axes.plot(x + shift, sum(shares) / len(shares), color=colour, marker=marker, ms=5)
        axes.set(ylim=(0.5, 1.005), xticks=range(len(found)))
        axes.set_xticklabels([f"{SETS[name]} {n}" for name, n in found], rotation=90)
        axes.yaxis.set_major_formatter(PercentFormatter(1, 0))
    named = {"duplicate groups known": looks["groups"], "as if all images were independent": looks["naive"]}
    style.legend(figure, {title: {"color": c, "marker": m, "lw": 2} for title, (c, m, _) in named.items()})
    figure.supylabel("coverage of 95 % intervals")
    means = {kind: [row[kind] for each in found.values() for rows in each.values() for row in rows] for kind in looks}
    of = {kind: f"{100 * sum(each) / len(each):.1f} %" for kind, each in means.items()}
    alt = (
        f"Coverage of 95 % intervals by score, set and number of images: on average {of['groups']} where duplicate "
        f"groups are known, {of['naive']} where all images are taken as independent. Bars: range; grey: 93 to 97 %."
    )
    return Plot(figure, alt)


@cache
def values() -> dict[str, str]:
    """Write the numbers that stand in sentences."""
    return dict((*_of_folds(), *_of_models(), *_of_shortcuts(), *_of_sets(), *_of_other_sets(), *_of_choices()))


def _of_folds():
    for each in stored(JARDIM, "jardim").tests:
        if "seeds" in each.on:  # all folds of all seeds in one test
            test = each.test
            difference = POINTS.text(test.difference, test.low, test.high, unit=False).replace("+", "")
            yield "folds_difference", difference
            yield from {"folds_t": f"{test.t:.3f}", "folds_df": f"{test.df:.0f}", "folds_p": f"{test.p:.3f}"}.items()
    equivalences = [each for each in stored(JARDIM, "jardim").equivalences if each.on.startswith("these folds, cnn")]
    least = [
        each.detectable for each in equivalences if each.detectable is not None and not math.isnan(each.detectable)
    ]
    yield "detectable", f"{100 * min(least):.1f} to {100 * max(least):.1f}"


def _of_models():
    for prefix, *wanted in (
        ("jardim", JARDIM, "jardim", "transfer"),
        ("cnn", BOTH, "jardim", "cnn"),
        ("yim", YIM, "yim", "resnet50v2"),
        ("yim_cnn", YIM, "yim", "cnn"),
    ):
        found = effect(*wanted)
        yield f"{prefix}_leaked", f"{found.leaked.n} of {found.published.n}"
        yield f"{prefix}_leaked_n", str(found.leaked.n)
        yield f"{prefix}_leaked_accuracy", PERCENT1.text(found.leaked.value)
        yield f"{prefix}_left", PERCENT1.text(found.without_duplicates.value)
        yield f"{prefix}_left_n", str(found.without_duplicates.n)
        yield f"{prefix}_left_score", score(found.without_duplicates, PERCENT1)
        yield f"{prefix}_apart", PERCENT1.text(found.retrained.value)
    for each in (*stored(BOTH, "jardim").controls, *stored(JARDIM, "jardim").controls):
        yield f"{each.arm}_{each.control} {each.split}".replace(" ", "_"), PERCENT1.text(each.value)
    for each in stored(JARDIM, "jardim").heat_maps:
        name = each.score.split()[0]
        yield f"map_{name}", Format(digits=2).text(each.value, each.low, each.high).replace("-0.00", "0.00")
        yield f"map_{name}_n", str(each.n)
    yield "hajhashem_tumours", str(claim(HAJHASHEM, "hajhashem", "abstract.recall")["reproduced"]["n"])
    for name, model in about("lesions")["models"].items():
        yield f"lesions_{name.split()[0]}", score(model["balanced_accuracy"], PERCENT1)
        yield "lesions_tested", f"{model['test_slices']} slices of {model['test_patients']} patients"
    yield "lesions_share", PERCENT1.text(about("lesions")["rows"][0]["reference"])


def _of_shortcuts():
    """Name the test sets on which the best shortcut lies within the interval of the model."""
    found = {"apart": [], "published": []}
    for paper, scenario, split, cells, model in _shortcuts():
        if model and model.low <= max(each["value"] for each in cells) <= model.high:
            found["apart" if split == APART else "published"].append(_images_of(paper, scenario))
    for name, sets in found.items():
        yield f"shortcut_{name}", "; ".join(sets) or "none of them"


def _of_sets():
    for name, each in audited().sets.items():
        near = each.duplicates["near"]
        yield f"{name}_different", str(each.images - near.images + near.groups)
        yield f"{name}_leaks", ", ".join(f"{n} {label}" for label, n in (near.leaked_test_images or {}).items())
    both, mirrored = (of["nickparvar"]["cheng"] for of in (audited().overlaps, audited().mirrored))
    yield from {"nickparvar_mirrored": str(mirrored), "nickparvar_facing": str(both - mirrored)}.items()
    found = [check_paper(load_paper(paper)) for paper in paper_ids()]
    counts = [impossible(each) for each in found]
    yield "impossible_checks", f"{sum(n for _, n in counts)} of {sum(map(len, found))}"
    yield "impossible_numbers", str(sum(n for n, _ in counts))


def _of_other_sets():
    for each in measured("external", ExternalScore):
        task = "kind" if each.task == KIND else "tumour"
        for part in ("published", "external"):
            value = PERCENT1.text(getattr(each, part).value, unit=False)
            yield f"{part}_{each.trained_on}_{each.tested_on}_{task}", value
        if each.trained_on == each.tested_on:
            yield f"held_out_{each.trained_on}_{task}", score(each.published, PERCENT1)
    by_slice = patient_splits()[0].difference
    yield "patient_leakage", PERCENT1.text(by_slice.value, by_slice.low, by_slice.high, unit=False)
    yield "cheng_patients", str(about("patients")["patients"])


def _of_choices():
    trained = [each for each in _universes()[0][2].curve if not each.reading]
    for name, chosen in (("squared", True), ("entropy", False)):
        own = [each for each in trained if ("protocol.loss" in each.choices) == chosen]
        yield f"universes_{name}", f"{sum(each.reached for each in own)} of {len(own)}"
        yield f"collapsed_{name}", str(sum(each.value <= 0.5 for each in own))


def markdown(head: list[str], rows: list[list[str]]) -> str:
    """Write a table in Markdown."""
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, ["---"] * len(head), *rows))


def filled(page: str) -> str:
    """Return a page with its tables and lists computed anew."""

    def written(found):
        content = globals()[found[2]]()
        return found[1] + (content if isinstance(content, str) else markdown(*content)) + found[3]

    return VALUE.sub(lambda each: each[1] + values()[each[2]] + each[3], TABLE.sub(written, page))


def figures() -> dict[str, Plot]:
    """Draw the headlines, which are accuracies of the papers and of this project, and the overlap of the sets."""
    splits = {f"split by {each.split}": {"balanced accuracy": each.score} for each in patient_splits()}
    drawn = {"forest.svg": forest(reference().headlines, "this project"), "sets.svg": overlap_map(audited())}
    drawn |= {f"multiverse-{paper}.svg": specification_curve(found) for paper, _, found in _universes()}
    return drawn | {"patients.svg": metrics(splits), "coverage.svg": coverage_figure()}


def main():
    """Write the tables, the figures and the summary."""
    for path in PAGES:
        path.write_text(filled(path.read_text(encoding="utf-8")), encoding="utf-8")
    records.write(SUMMARY, reference())
    matplotlib.rcParams["svg.hashsalt"] = "brainlib"  # the same bytes from the same numbers
    for name, plot in figures().items():
        plot.figure.savefig(IMAGES / name, facecolor="white", metadata={"Date": None, "Description": plot.alt})


if __name__ == "__main__":
    main()

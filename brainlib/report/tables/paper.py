"""Tables of what a paper prints, and of what that implies by itself: nothing here was trained."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from brainlib.io import built_folder, is_whole
from brainlib.models.backbones import RANDOM, Weights
from brainlib.models.build import ModelSpec
from brainlib.papers.consistency import check_paper, confusion, sizes
from brainlib.papers.consistency.arithmetic import FOUR, collapse_rows
from brainlib.papers.consistency.checks import FINDINGS, Check
from brainlib.papers.provenance import in_words, key_of, name_of, settings_of
from brainlib.papers.reporting import STATUSES, by_section, checklist, reporting_of
from brainlib.papers.schema import Paper
from brainlib.report.table import PERCENT, Table
from brainlib.report.tables.captions import caption
from brainlib.study.study import Study
from brainlib.study.variation import OWN
from brainlib.trials import workers

_BUILT = "resnet18-1"  # part of the name of what is stored: count on when `built_layers` returns something else
_COLUMNS = ("output", "kernel", "stride", "padding", "convolutions")


def protocol(paper: Paper) -> Table:
    """Every value of a paper's protocol, stated or assumed, with its place or reason.

    The column "key" is what `Study.varied` takes; what this project does in one way only has none.
    """
    rows = [
        {
            "setting": name_of(path),
            "value": in_words(setting.value),
            "provenance": "assumed" if setting.assumed else "own" if setting.stated == OWN else "stated",
            "why": setting.assumed or setting.stated,
            "alternatives": "; ".join(map(in_words, setting.alternatives)),
            "key": "" if path[0] == "fixed" else key_of(path),
        }
        for path, setting in settings_of(paper)
    ]
    return Table(rows, caption("protocol", paper=paper, provenances=[row["provenance"] for row in rows]))


def exhibits(paper: Paper) -> Table:
    """List the tables and figures of a paper, with the section of its notebook that has the counterpart of each."""
    rows = [
        {"in the paper": each.name, "shows": each.shows, "counterpart in": each.section or "none"}
        for each in paper.exhibits
    ]
    return Table(rows, caption("exhibits", count=len(rows)))


def reporting(paper: Paper, *statuses: str) -> Table:
    """List the items of a reporting checklist of these statuses, by default all, as a paper's text reports them."""
    found = reporting_of(paper.id)
    rows = [
        {"item": each.number, "section": each.section, "asks for": each.asks, "judgement": each.status}
        | {"in the paper": "; missing: ".join(filter(None, [each.words, each.missing]))}
        for each in found
        if each.status in (statuses or STATUSES)
    ]
    return Table(rows, caption("reporting", checklist=checklist(), found=found, sections=by_section(found)))


def consistency(paper: Paper, *findings: str) -> Table:
    """Show the checks of a paper's printed numbers of these findings, by default all, with what is wrong first."""
    found = worst_first(check_paper(paper))
    rows = [
        {"number": n, "finding": check.finding, "check": check.method, "arithmetic": check.sentence}
        for n, check in enumerate(found, start=1)
        if check.finding in (findings or FINDINGS)
    ]
    counts = ", ".join(f"{sum(check.finding == finding for check in found)} {finding}" for finding in FINDINGS[::-1])
    return Table(rows, f"{len(found)} checks of the printed numbers, before any training: {counts}.")


def worst_first(checks: Sequence[Check]) -> list[Check]:
    """Order checks as `consistency` numbers them."""
    return sorted(checks, key=lambda check: -FINDINGS.index(check.finding))


def split_sizes(study: Study) -> Table:
    """Show the sizes of the validation and test parts that admit every printed accuracy of each scenario.

    Beside them stands what the split of this project draws from the published set.
    """
    rows = [
        {
            "scenario": study.paper.scenario(part.scenario).title,
            "images": sizes.published_size(study.paper, study.paper.scenario(part.scenario).classes),
            "part": part.part,
            "different accuracies printed": part.values,
            "sizes that admit them all, rounded": ", ".join(map(str, part.sizes.rounded)) or "none",
            "rounded or truncated": ", ".join(map(str, part.sizes.truncated)) or "none",
            "this split draws": part.drawn,
        }
        for part in sizes.parts(study.paper)
    ]
    return Table(rows, caption("split_sizes", around=f"{sizes.AROUND:.0%}"))


def implied(paper: Paper) -> Table:
    """Show the confusion matrix behind printed scores of two classes where it is the only one, and what follows."""
    rows = []
    for row in confusion.rows_of(paper):
        n = row[0].n
        if paper.scenario(row[0].scenario).positive and (found := confusion.only_matrix(row)):
            positives, tp, tn = found
            place = " – ".join(filter(None, [row[0].scenario, paper.arms[row[0].arm].title, row[0].stage]))
            counts = {"true positives": tp, "false negatives": positives - tp, "true negatives": tn}
            scores = {"sensitivity": PERCENT.share(tp, positives), "specificity": PERCENT.share(tn, n - positives)}
            rows.append({"of": place, "n": n} | counts | {"false positives": n - positives - tn} | scores)
    return Table(rows, caption("implied"))


def averaging(study: Study) -> Table:
    """Show printed rows of models that predict one class for every image, which tell how scores were averaged.

    Below each, what such a model scores by weighted and by macro averages.
    """
    paper, rows = study.paper, []
    for printed in confusion.collapsed(paper):
        one = printed["accuracy"]
        scenario = paper.scenario(one.scenario or "")
        averages = collapse_rows(one.value, one.n, len(scenario.classes))
        numbers = {"printed": {name: PERCENT.printed(printed[name].number) for name in FOUR}}
        for kind, scores in averages.items():
            numbers[f"{kind} averages"] = {name: PERCENT(value) for name, value in scores.items()}
        place = {"row": f"{paper.arms[one.arm].title}, {paper.phase_of(one)}", "scenario": scenario.title, "n": one.n}
        for name, scores in numbers.items():
            rows.append(place | {"numbers": name} | scores)
            place = {"row": "", "scenario": ""}
    return Table(rows, caption("averaging"))


def layers(paper: Paper, store: Path, *, scheduler: str = "") -> Table:
    """Compare a printed table of layers, from the first convolution to the classifier, with the ResNet18 built here.

    One row a printed row, with what is printed, in brackets what is built where that differs, and the names of what
    differs. ``scheduler`` is that of `trials.run_trials`; the store keeps the description of what was built.
    """
    size, outputs = paper.protocol.image_size.value, len(paper.data.classes)
    of = [_BUILT, str(size), str(outputs), *(version(name) for name in ("tensorflow", "keras", "keras-hub"))]
    folder = Path(store) / "layers" / "-".join(of)
    if not is_whole(folder):
        (built,) = workers.run(built_layers, [(size, outputs)], scheduler, None)
        built_folder(folder, lambda new: (new / "layers.json").write_text(json.dumps(built), "utf-8"))
    built = json.loads((folder / "layers.json").read_bytes())
    rows = []
    for number, row in enumerate(paper.tables.layer_table):
        found = built[number] if number < len(built) else {}
        counted = re.search(r"(\d+) layers", row.type)
        printed = {name: getattr(row, name) for name in _COLUMNS[:-1]}
        printed["convolutions"] = int(counted[1]) if counted else None
        differs = [name for name, value in printed.items() if value not in (None, found.get(name))]
        cells = {name: "–" if value is None else str(value) for name, value in printed.items()}
        cells |= {name: f"{cells[name]} (built: {value})" for name, value in found.items() if printed[name] != value}
        rows.append({"layer": row.layer, "type": row.type, **cells, "differs in": ", ".join(differs)})
    return Table(rows, caption("layers", rows=rows))


def built_layers(size: int, outputs: int, report: object = None) -> list[dict[str, object]]:
    """Build ResNet18 and describe it in the eight rows in which papers print it; runs in a worker."""
    from brainlib.models import build

    spec = ModelSpec("transfer", backbone="resnet18", scaling="backbone", pooling="average")
    model = build.build_network(spec, size, outputs, Weights(RANDOM)).model
    layers = model.get_layer("resnet18").layers
    stages = [_stage(layers, f"{name}_") for name in ("conv1", "pool1", "stack0", "stack1", "stack2", "stack3")]
    pooled = layers[-1].output.shape
    average = {"output": f"{pooled[-1]}x1x1", "kernel": pooled[1]}
    return [*stages, average, {"output": str(model.output_shape[-1])}]


def _stage(layers, prefix):
    """Describe the layers whose names begin alike: the first that a paper counts, and the output of the last."""
    own = [pair for pair in itertools.pairwise(layers) if pair[1].name.startswith(prefix)]
    # "_0_conv" is the 1x1 projection of the shortcut, which no paper counts as a layer.
    names = [layer.name for _, layer in own]
    counted = [n for n, name in enumerate(names) if re.search("(?<!_0)_(conv|pool)$", name)]
    before, first = own[counted[0]]
    kernel = getattr(first, "kernel_size", None) or first.pool_size
    # Keras pads in a layer of its own; "same" at stride 1 pads half a kernel.
    padding = before.padding[0][0] if "pad" in before.name else (kernel[0] - 1) // 2
    _, height, width, channels = own[-1][1].output.shape
    stage = {"output": f"{channels}x{height}x{width}", "kernel": kernel[0], "stride": first.strides[0]}
    return stage | {"padding": padding} | ({"convolutions": len(counted)} if len(counted) > 1 else {})

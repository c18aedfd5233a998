"""A paper is read whole and unchanged, or refused in one line that names the key."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys

import pytest
import yaml
from pydantic import ValidationError

from brainlib.data.registry import REGISTRY
from brainlib.errors import PaperError
from brainlib.papers.loading import load_paper, paper_ids
from brainlib.papers.provenance import key_of, settings_of
from brainlib.papers.schema import Claim

SMALL = """
id: small
citation: {authors: [A. Author], title: A title, venue: null, year: 2024, url: null}
data:
  set: {value: br35h, stated: Methods}
  classes: ["no", "yes"]
  normal: "no"
  images: {value: 3000, stated: Methods}
protocol:
  image_size: {value: 64, stated: Methods}
  holdout: {value: 0.2, stated: Methods}
  validation: {value: null, stated: Methods}
  folds: {value: 3, stated: Methods}
  stratified: {value: false, assumed: silent, alternatives: [true]}
  split_by: {value: image, stated: Methods}
  oversample: {value: null, stated: Methods}
  batch_size: {value: 32, assumed: silent, alternatives: [16, whole set]}
  loss: {value: binary_crossentropy, stated: Methods}
  optimizer: {value: adam, stated: Methods}
  epoch: {value: last, stated: Methods}
  threshold: {value: null, stated: Methods}
arms:
  net:
    title: Net
    model:
      kind: transfer
      backbone: {value: resnet18, stated: Methods}
      pretrained: {value: true, stated: Methods}
      channels: {value: 3, stated: Methods}
      scaling: {value: unit, stated: Methods}
      pooling: {value: average, stated: Methods}
      dense: {value: [], stated: Methods}
      head_dropout: {value: [], stated: Methods}
    phases:
    - name: training
      trainable: {value: [block5], stated: Methods}
      epochs: {value: 2, stated: Methods}
      learning_rate: {value: 0.001, stated: Methods}
      augmentation: {value: {flip: horizontal, rotation: 15}, stated: Methods}
claims:
- {id: a, printed: 97.94%, unit: "%", where: Table 1, arm: net, stage: fold 3, metric: {name: accuracy}, n: 800,
   n_why: 2400 / 3}
- {id: b, printed: "30", unit: epochs, where: Methods, why_not: a setting}
"""


@pytest.fixture
def content():
    """A small valid paper as plain values, to be spoilt by a test."""
    return yaml.safe_load(SMALL)


@pytest.fixture
def refused(tmp_path):
    """Load a spoilt paper (values, text or bytes) and return the message that refuses it."""

    def message(spoilt):
        path = tmp_path / "small.yaml"
        if isinstance(spoilt, dict):
            spoilt = yaml.safe_dump(spoilt, sort_keys=False)
        path.write_bytes(spoilt.encode() if isinstance(spoilt, str) else spoilt)
        with pytest.raises(PaperError) as caught:
            load_paper(path)
        text = str(caught.value)
        assert len(text.splitlines()) == 1 and len(text) < 400
        assert str(tmp_path) not in text
        return text

    return message


def _set(content, path, value):
    """Set, add or (value is None and key ends in "-") delete what a dotted path names."""
    *parents, last = [int(p) if p.isdigit() else p for p in path.rstrip("-").split("/")]
    part = content
    for key in parents:
        part = part[key]
    if path.endswith("-"):
        del part[last]
    else:
        part[last] = value


# The papers that brainlib holds


@pytest.mark.parametrize("paper_id", paper_ids())
def test_the_settings_that_a_claim_names_exist(paper_id):
    paper = load_paper(paper_id)
    known = {key_of(path) for path, _ in settings_of(paper)}
    for claim in paper.claims:
        if claim.why_not and "a setting" in claim.why_not:
            assert set(claim.why_not.partition(": ")[2].split(", ")) <= known


@pytest.mark.parametrize("paper_id", paper_ids())
def test_every_setting_says_where_it_comes_from_and_the_data_set_is_registered(paper_id):
    paper = load_paper(paper_id)
    settings = [setting for _, setting in settings_of(paper)]
    assert {"activation"} <= set(paper.fixed)
    assert {setting.assumed is None for setting in settings} == {True, False}
    for setting in settings:
        assert setting.stated or setting.assumed
        assert bool(setting.alternatives) == (setting.assumed is not None)
    assert set(REGISTRY[paper.data.set.value].classes) == set(paper.data.classes)


def test_the_settings_have_key_paths_in_the_order_of_the_schema(content, tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(content))
    settings = {key_of(path): setting for path, setting in settings_of(load_paper(path))}
    assert len(settings) == 2 + 12 + 7 + 4
    assert list(settings)[:3] == ["data.set", "data.images", "protocol.image_size"]
    assert settings["arms.net.phases[0].trainable"].value == ("block5",)
    batch = settings["protocol.batch_size"]
    assert (batch.value, batch.assumed, batch.alternatives) == (32, "silent", (16, "whole set"))


# Reading safely


def test_a_paper_cannot_be_changed():
    paper = load_paper("hajhashem")
    with pytest.raises(ValidationError, match="frozen"):
        paper.protocol.holdout.value = 0.5
    with pytest.raises(ValidationError, match="frozen"):
        paper.claims[0].printed = "99%"
    augmentation = paper.arms["resnet18"].phases[0].augmentation.value
    for change in (
        lambda: paper.arms.update(x=1),
        lambda: paper.arms.pop("resnet18"),
        lambda: augmentation.setdefault("zoom", 0.1),
        lambda: augmentation.clear(),
        lambda: augmentation.__setitem__("rotation", 90),
        lambda: augmentation.__ior__({"rotation": 90}),
    ):
        with pytest.raises(TypeError, match="read only"):
            change()
    assert load_paper("hajhashem") == paper


def test_equal_papers_have_equal_hashes_and_deep_copies_stay_equal():
    paper = load_paper("jardim")
    assert hash(paper) == hash(load_paper("jardim"))
    assert copy.deepcopy(paper) == paper
    augmentation = load_paper("hajhashem").arms["resnet18"].phases[0].augmentation.value
    assert json.loads(json.dumps(augmentation)) == dict(augmentation)


def test_loading_a_paper_imports_no_tensorflow_and_no_pandas():
    code = (
        "import sys; from brainlib.papers.loading import load_paper; load_paper('jardim');"
        "print([m for m in ('tensorflow', 'keras', 'pandas') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr


def test_an_unknown_id_and_a_file_that_does_not_exist_or_is_a_folder_are_refused(tmp_path):
    with pytest.raises(PaperError, match="unknown paper 'jardin': expected one of .*jardim"):
        load_paper("jardin")
    (tmp_path / "folder.yaml").mkdir()
    for name in ("none.yaml", "folder.yaml"):
        with pytest.raises(PaperError, match="expected a YAML file, found none"):
            load_paper(tmp_path / name)


def test_the_small_paper_of_these_tests_is_valid_and_is_read_from_text_or_path(content, tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(content))
    assert load_paper(path) == load_paper(str(path))
    assert load_paper(path).claims[1] == Claim(
        id="b", printed="30", unit="epochs", where="Methods", why_not="a setting"
    )


SPOILT = [
    # path to set (a trailing "-" deletes it), value, what the message must say
    ("protocol/image_size", 240, r"protocol\.image_size: missing provenance.*received 240"),
    ("protocol/image_size/stated-", None, r"protocol\.image_size: missing provenance"),
    ("protocol/image_size/stated", None, r"protocol\.image_size: missing provenance.*null"),
    ("protocol/image_size/assumed", "x", r"protocol\.image_size: expected either .*received both"),
    ("protocol/image_size/alternatives", [9], r"protocol\.image_size: .*only for an assumed"),
    ("protocol/stratified/alternatives", [], r"protocol\.stratified: expected at least one"),
    ("protocol/stratified/alternatives", [False], r"protocol\.stratified: .*received it: False"),
    ("protocol/batch_size/alternatives", ["16"], r"^small\.yaml: protocol\.batch_size\.alternatives\[0\]: .*integer"),
    ("protocol/epoch/value", "frist", r"protocol\.epoch\.value: .*'last' or 'best', received 'frist'"),
    ("protocol/image_size/value", "240", r"protocol\.image_size\.value: .*integer, received '240'"),
    ("protocol/image_size/value", 0, r"protocol\.image_size\.value: .*received 0"),
    ("protocol/holdout/value", 20, r"protocol\.holdout\.value: .*less than 1, received 20"),
    ("protocol/holdout/value", float("nan"), r"protocol\.holdout\.value: .*received nan"),
    ("protocol/folds/value", True, r"protocol\.folds\.value: .*received True"),
    ("protocol/holdout-", None, r"protocol\.holdout: expected this key, received none"),
    ("protocol/hold_out", 0.2, r"protocol\.hold_out: expected no key of this name"),
    ("extra", 1, r"small\.yaml: extra: expected no key of this name"),
    ("data/classes", [False, True], r"data\.classes\[0\]: .*string, received False"),
    ("data/classes", ["yes", "yes"], r"data: expected different classes"),
    ("data/normal", "tumour", r"data: normal: expected one of .*received 'tumour'"),
    ("data/normal", "yes", r"data: normal: expected 'no', the first of two"),
    ("arms", {}, r"arms: .*at least 1 item"),
    ("arms/net/model/kind", "resnet", r"arms\.net\.model: .*'resnet'"),
    ("arms/net/model/backbone-", None, r"arms\.net\.model\.backbone: expected this key"),
    ("arms/net/model/pool_size", {"value": 2, "stated": "x"}, r"model\.pool_size: expected no key of this name"),
    ("arms/net/model/kind", "cnn", r"arms\.net\.model\.convolutions: expected this key"),
    ("arms/net/model/channels/value", 2, r"arms\.net\.model\.channels\.value: .*1 or 3"),
    ("arms/net/phases", [], r"arms\.net\.phases: "),
    ("arms/net/phases/0/trainable/value", "tail", r"arms\.net\.phases\[0\]\.trainable\.value: "),
    ("arms/net/phases/0/augmentation/value", {"spin": 3}, r"phases\[0\]\.augmentation\.value\.spin: expected no key"),
    ("claims/1/id", "a", r"claims\[1\]\.id: expected a new id, received 'a' a second time"),
    ("claims/0/arm", "nett", r"claims\[0\] \(a\)\.arm: expected one of net, received 'nett'"),
    ("claims/0/arm-", None, r"claims\[0\] \(a\)\.metric: expected an arm and a stage"),
    ("claims/0/stage", "fold 4", r"claims\[0\] \(a\)\.stage: expected fold 1 to 3, received 'fold 4'"),
    ("claims/0/stage", "fold 0", r"claims\[0\]\.stage: .*received 'fold 0'"),
    ("protocol/folds/value", None, r"claims\[0\] \(a\)\.stage: .*without folds, received 'fold 3'"),
    ("claims/0/metric/over", "mean", r"claims\[0\] \(a\)\.stage: expected 'folds' for a mean"),
    ("claims/0/metric/name", "kappa", r"claims\[0\]\.metric\.name: .*received 'kappa'"),
    ("claims/0/metric/name", "t_test.t", r"claims\[0\] \(a\)\.protocol\.t_test: expected the test that is meant"),
    ("claims/0/metric/label", "maybe", r"claims\[0\] \(a\)\.metric\.label: .*no, yes.*'maybe'"),
    ("claims/0/metric-", None, r"claims\[0\] \(a\)\.metric: .*received neither"),
    ("claims/0/why_not", "x", r"claims\[0\] \(a\)\.metric: .*received both"),
    ("claims/0/n-", None, r"claims\[0\] \(a\)\.n_why: expected n and n_why together"),
    ("claims/0/printed", "high", r"claims\[0\]\.printed: .*received 'high'"),
    ("claims/0/printed", 97.94, r"claims\[0\]\.printed: .*string, received 97.94"),
    ("claims/0/printed", "p < 0.05", r"claims\[0\] \(a\)\.metric\.over: .*'value' for 'p < 0.05'"),
    ("claims", "none", r"claims: .*received 'none'"),
    ("id", "other", r"id: expected the file's stem 'small', received 'other'"),
]


@pytest.mark.parametrize(("path", "value", "message"), SPOILT)
@pytest.mark.fault(
    "8k", "a paper with a missing, unknown or impossible value", "refused in one line that names the key"
)
def test_a_spoilt_paper_is_refused_with_its_key_path(path, value, message, content, refused):
    _set(content, path, value)
    assert re.search(message, refused(content))


@pytest.mark.fault("8c", "a paper names a data set that is not registered", "refused in one line that names the known")
@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("data/set/value", "../../../etc", r"data\.set\.value: expected one of br35h, .*received '../../../etc'"),
        ("data/classes", ["no", "maybe"], r"data\.classes: expected one of no, yes, received 'maybe'"),
    ],
)
def test_a_set_or_a_class_that_is_not_registered_is_refused(path, value, message, content, refused):
    _set(content, path, value)
    assert re.search(message, refused(content))


@pytest.mark.fault("8d", "a claim is of 10^20 images", "refused in one line that names the limit")
@pytest.mark.fault("8e", "a claim is of 2,000,000,000 images", "refused in one line that names the limit")
@pytest.mark.fault(
    "8f", "10^12 epochs, images of 10^7 pixels, 10^9 filters", "refused in one line that names the limit"
)
@pytest.mark.parametrize(
    ("path", "value", "limit"),
    [
        ("claims/0/n", 10**20, 1_000_000),
        ("claims/0/n", 2_000_000_000, 1_000_000),
        ("data/images/value", 10**9, 1_000_000),
        ("arms/net/phases/0/epochs/value", 10**12, 100_000),
        ("protocol/batch_size/value", 10**12, 100_000),
        ("protocol/image_size/value", 10**7, 4096),
        ("protocol/folds/value", 100, 99),
        ("arms/net/model/dense/value", [10**9], 10_000),
        ("arms/net/phases/0/learning_rate/value", 1e300, 100),
    ],
)
def test_a_number_beyond_its_limit_is_refused(path, value, limit, content, refused):
    _set(content, path, value)
    assert re.search(rf"{path.split('/')[-2]}.*less than or equal to {limit}, received", refused(content))


@pytest.mark.fault("8h", "hundreds of phases, classes or layers", "refused in one line that names the limit")
@pytest.mark.parametrize("path", ["arms/net/phases", "data/classes", "arms/net/model/dense/value"])
def test_a_list_beyond_its_limit_is_refused(path, content, refused):
    part = content
    for key in path.split("/"):
        part = part[key]
    _set(content, path, [copy.deepcopy((part or [8])[0]) for _ in range(101)])
    assert re.search(r"should have at most 100 items", refused(content))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"printed": "108%"}, r"\.printed: expected 0 to 1 for accuracy, or why_not, received '108%'"),
        ({"printed": "-1%"}, r"\.printed: expected 0 to 1 for accuracy"),
        ({"printed": "97 or 98"}, r"claims\[0\] \(a\)\.printed number: expected one number .*'97 or 98'"),
        ({"printed": "0.9", "unit": "percent^2"}, r"\.unit: expected percent\^2 for a variance alone"),
        (
            {"printed": "999999999999", "unit": "images", "metric": {"name": "images"}},
            r"\.printed: expected 0 to 1000000",
        ),
    ],
)
def test_a_printed_number_that_its_metric_cannot_have_is_refused(changes, message, content, refused):
    content["claims"][0] |= changes
    assert re.search(message, refused(content))


CONCLUDED = {
    "id": "best",
    "quote": "ours is the best",
    "where": "Conclusion",
    "kind": "at_least",
    "of": [{"arm": "net"}],
    "values": [0.9],
    "scores": [{"stage": "fold 1", "metric": {"name": "accuracy"}}],
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "best", "values": []}, r"of: expected two models or more for best, received 1"),
        ({"values": []}, r"values: expected 1 for at_least of 1 models, received 0"),
        ({"of": [{"arm": "nett"}]}, r"of\.arm: expected one of net, received 'nett'"),
        ({"of": [{"arm": "net", "phase": "x"}]}, r"of\.phase: expected one of training, received 'x'"),
        ({"scenarios": ["x"]}, r"scenarios: expected one of none, received 'x'"),
        ({"scores": [{"stage": "validation", "metric": {"name": "auc"}}]}, r"scores\.stage: expected no 'validation'"),
        ({"scores": [{"stage": "test", "metric": {"name": "auc", "label": "x"}}]}, r"scores\.metric\.label: expected"),
        ({"kind": "worst"}, r"conclusions\[0\]\.kind: .*received 'worst'"),
    ],
)
def test_a_conclusion_that_does_not_go_with_its_paper_is_refused(changes, message, content, refused):
    content["conclusions"] = [CONCLUDED | changes]
    assert re.search(message, refused(content))


def test_a_metric_of_conclusions_alone_is_no_claim(content, refused):
    content["claims"][0]["metric"] = {"name": "distinct"}
    assert "which conclusions alone may name" in refused(content)


@pytest.fixture
def four_classes(content):
    """The small paper with three classes, two scenarios, two phases and a second arm like the first."""
    content["data"] |= {
        "set": {"value": "nickparvar", "stated": "Methods"},
        "classes": ["glioma", "notumor", "pituitary"],
        "normal": "notumor",
    }
    content["protocol"] |= {
        "loss": {"value": "categorical_crossentropy", "stated": "Methods"},
        "folds": {"value": None, "stated": "Methods"},
        "validation": {"value": 0.1, "stated": "Methods"},
    }
    content["scenarios"] = {
        "two": {"title": "two of them", "classes": ["notumor", "pituitary"]},
        "every": {"title": "all of them", "classes": ["glioma", "notumor", "pituitary"]},
    }
    net = content["arms"]["net"]
    net["phases"].append(copy.deepcopy(net["phases"][0]) | {"name": "tuning"})
    other = {"value": "vgg16", "stated": "Methods"}
    content["arms"]["other"] = {"title": "Other", "like": "net", "backbone": other}
    content["profiles"] = {"smoke": {"arms": ["net"], "scenarios": ["two"], "why": "winner"}}
    content["claims"][0] |= {"stage": "validation", "scenario": "every", "arm": "other", "phase": "tuning"}
    return content


def test_an_arm_like_another_has_its_settings_and_lists_only_its_own(four_classes, tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(four_classes))
    paper = load_paper(path)
    net, other = paper.arms["net"], paper.arms["other"]
    assert other.model.backbone.value == "vgg16"
    assert other.model.dense == net.model.dense and other.phases == net.phases
    own = [key for path, _ in settings_of(paper) if (key := key_of(path)).startswith("arms.other")]
    assert own == ["arms.other.model.backbone"]
    assert paper.scenario("two").positive == "pituitary" and paper.scenario("every").positive is None
    assert paper.scenario().classes == ("glioma", "notumor", "pituitary")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("arms/other/like", "nett", "arms.other: expected title, backbone and like.*\\(net\\)"),
        ("arms/other/like", "other", "arms.other: expected title, backbone and like"),
        ("arms/other/phases", [], "arms.other: expected title, backbone and like"),
        ("arms/net/phases/1/name", "training", "phases: expected different names"),
        ("arms/net/model/head_dropout/value", [0.1] * 9, "head_dropout: expected at most"),
        ("scenarios/two/classes", ["pituitary", "notumor"], "scenarios.two.classes: normal: expected 'pituitary'"),
        ("scenarios/two/classes", ["notumor", "maybe"], "scenarios.two.classes: expected one of glioma"),
        ("scenarios/two/classes", ["glioma", "pituitary"], "scenarios.two.classes: normal: expected one of"),
        ("profiles/smoke/arms", ["nett"], "profiles.smoke.arms: expected one of net, other"),
        ("profiles/smoke/scenarios", ["x"], "profiles.smoke.scenarios: expected one of two"),
        ("protocol/oversample", {"value": "x", "stated": "y"}, "protocol.oversample.value: .*'x'"),
        ("protocol/loss/value", "binary_crossentropy", "loss.value: expected categorical_crossentropy for 3"),
        ("protocol/validation/value", None, "stage: expected no 'validation'"),
        ("protocol/folds/value", 3, "protocol.validation.value: expected null"),
        ("claims/0/scenario", "x", "scenario: expected one of two, every, received 'x'"),
        ("claims/0/scenario-", None, "scenario: expected one of two, every, received none"),
        ("claims/0/phase", "x", "phase: expected one of training, tuning, received 'x'"),
        ("claims/0/metric", {"name": "f1"}, "metric: expected a label or an average for f1 of 3"),
        ("claims/0/metric", {"name": "f1", "label": "glioma", "average": "macro"}, "metric.average: .*, received both"),
        ("claims/0/metric", {"name": "count"}, "metric.label: expected the class"),
        (
            "claims/0/metric",
            {"name": "count", "label": "glioma", "predicted": "b"},
            "predicted: expected one of glioma",
        ),
        ("claims/0/metric", {"name": "training_loss"}, "metric.over: expected 'epochs'"),
        ("claims/0/printed", "above 0.9", "metric.over: expected 'comparison' if and only if"),
    ],
)
@pytest.mark.fault("8j", "parts of a paper that contradict each other", "refused in one line that names the key")
def test_parts_of_a_paper_that_do_not_go_together_are_refused(four_classes, refused, path, value, message):
    _set(four_classes, path, value)
    assert re.search(message, refused(four_classes))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id: a\nid: b\n", r"line 2: expected each key once, received 'id'"),
        ("a: {b: 1, b: 2}\n", r"line 1: expected each key once, received 'b'"),
        ("a: &x [1]\nb: *x\n", r"line 1: expected no anchors or aliases, received 'x'"),
        ("a: *x\n", r"line 1: expected no anchors or aliases, received 'x'"),
        ("a: !!python/object/apply:os.system ['true']\n", r"line 1: expected no tags, received 'tag:yaml.org,2002:pyt"),
        ("a: !!python/name:os.system\n", r"line 1: expected no tags"),
        ("a: 1\nb: !!int ''\n", r"line 2: expected no tags"),
        ("a: !!float ''\n", r"line 1: expected no tags"),
        ("a: !!bool x\n", r"line 1: expected no tags"),
        ("a: !!timestamp x\n", r"line 1: expected no tags"),
        ("<<: {a: 1}\n", r"line 1: could not determine a constructor"),
        ("no: 1\n", r"line 1: expected text as a key, received False"),
        ("? [1, 2]\n: 1\n", r"line 1: expected text as a key"),
        ("a: !!map b\n", r"line 1: expected no tags"),
        ("a: [1\n", r"line 2: "),
        ("id: a\n---\nid: b\n", r"line 2: "),
        ("a: 2024-13-45\n", r"small\.yaml: month must be in 1\.\.12"),
        ("a: " + "9" * 5000, r"small\.yaml: Exceeds the limit"),
        ("a: " + "[" * 20000, r"expected a few levels of keys"),
        ("- 1\n- 2\n", r"expected a mapping of keys, received \(1, 2\)"),
        ("", r"expected a mapping of keys, received None"),
        ("just text", r"expected a mapping of keys, received 'just text'"),
        (b"\x89PNG\r\n\x1a\n\xff\xfe\x00", r"expected text in UTF-8"),
        ("a: \x00\x01", r"special characters are not allowed"),
        ('a: "\\e[2J"', r"line 1: special characters are not allowed"),
        ('"a\\nb": 1', r"small\.yaml: .*expected"),
        ('arms: {"1": {}, b: {title: x, like: 1, backbone: y}}', r"expected this key"),
        (b"#" * 1_000_001, r"expected at most 1000000 bytes, received more"),
    ],
    ids=lambda value: repr(value)[:30],
)
@pytest.mark.fault(
    "8a",
    "a paper with aliases, tags, duplicate keys, deep levels, binary or a megabyte",
    "refused in one line; nothing is executed",
)
@pytest.mark.fault("8q", "a tag that its text does not fit, such as !!int of nothing", "refused in one line")
def test_what_is_no_plain_yaml_mapping_is_refused_in_one_line(text, message, refused):
    assert re.search(message, refused(text))

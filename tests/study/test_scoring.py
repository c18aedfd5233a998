"""Predictions of other programs: what files are refused, and that their scores are those of a study."""

from __future__ import annotations

import gzip
import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pngs import write_image
from pyarrow import parquet

from brainlib import cli
from brainlib.data.registry import Folder, info_of
from brainlib.errors import DataError, UsageError
from brainlib.report.tables import scored
from brainlib.stats.comparisons import mcnemar
from brainlib.study import prediction_files, scoring
from brainlib.study.scoring import score_files
from brainlib.study.verdicts import judge

GOOD = "path,label,p_no,p_yes\nno/a.png,no,0.9,0.1\nyes/b.png,yes,0.2,0.8\n"


def written(folder, text, name="model.csv"):
    file = folder / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ["CSV", "Parquet"]),
        ("path,label,p_no,p_yes\n", ["0 rows"]),
        (b"\x89PNG\r\n\x1a\n\x00\xff\xfe", ["CSV"]),
        (b"PAR1 and nothing of it", ["Parquet"]),
        (GOOD + "no/c.png,no,0.5\n", ["4 columns", "3"]),
        (GOOD.replace(",", ";"), ["with commas", "path and label", "path;label;p_no;p_yes"]),
        (GOOD.replace("label", "class"), ["path and label", "path, class"]),
        (GOOD.replace("p_yes", "yes"), ["2 to 20 classes", "a column yes"]),
        (GOOD.replace("p_yes", "p_no"), ["p_no, p_no"]),
        (GOOD.replace("path", ",path").replace("\nno", "\n0,no").replace("\nyes", "\n1,yes"), ["an empty text"]),
        (GOOD.replace("p_no", "p_").replace(",no,", ",,"), ["classes with a name"]),
        (GOOD.replace("0.1", "x"), ["numbers", "x"]),
        (GOOD.replace("0.1", ""), ["nan", "no/a.png"]),
        (GOOD.replace("0.1", "inf"), ["[0, 1]", "inf"]),
        (GOOD.replace("0.9,0.1", "1.1,-0.1"), ["[0, 1]", "1.1"]),
        (GOOD.replace("0.9,0.1", "0.9,0.102"), ["sum to 1", "0.102"]),
        (GOOD.replace(",yes,", ",tumour,"), ["labels of no, yes", "tumour in row 2"]),
        (GOOD.replace("yes/b", "no/a"), ["each image once", "no/a.png"]),
        (GOOD.replace("yes/b", "no/../no/./a"), ["paths from the folder"]),
        (GOOD.replace("yes/b", "./no//a"), ["each image once"]),
        (GOOD.replace("yes/b", "/etc/b"), ["paths from the folder", "/etc/b.png"]),
        (GOOD.replace("yes/b", "C:/b"), ["paths from the folder"]),
        (GOOD.replace("yes/b", "\x1b[2Jb"), ["paths from the folder", " [2Jb"]),
        (GOOD.replace("yes/b.png", ""), ["paths from the folder", "an empty text in row 2"]),
        ("path,label,part,p_no,p_yes\na,no,held out,1,0\n", ["train, validation or test", "held out"]),
        ("path,label,part,p_no,p_yes\na,no,train,1,0\n", ["test images", "1 rows without one"]),
    ],
)
@pytest.mark.fault(
    "9j",
    "a CSV of predictions with wrong columns, paths, labels or probabilities",
    "refused in one line that says what was expected",
)
def test_a_file_that_cannot_be_is_refused_in_one_line(tmp_path, capsys, text, words):
    file = written(tmp_path, text)
    assert cli.main(["score", str(file)]) == 2
    error = capsys.readouterr().err.removeprefix("reading predictions\n")
    assert error.startswith(f"brainlib: error: {file}: expected ") and error.count("\n") == 1 and len(error) < 600
    for word in words:
        assert word in error


@pytest.mark.fault("9k", "a terabyte, or too many rows in few bytes, as predictions", "refused before it is read")
def test_a_file_of_any_size_is_refused_before_it_is_read(tmp_path, monkeypatch):
    sparse = tmp_path / "huge.csv"
    with open(sparse, "wb") as file:
        file.truncate(2**40)
    many = tmp_path / "many.parquet"  # few bytes, many rows
    parquet.write_table(pa.table({"path": pa.repeat("a", prediction_files.MOST_IMAGES + 1)}), many)
    assert many.stat().st_size < 10_000
    for file in (sparse, many, tmp_path, tmp_path / "absent.csv"):
        with pytest.raises(DataError, match="expected a table"):
            score_files([file])


@pytest.mark.fault("9q", "a CSV of predictions is compressed, so that it may unpack to any size", "refused as it is")
def test_a_compressed_file_is_not_unpacked(tmp_path):
    file = written(tmp_path, gzip.compress(GOOD.encode()), "model.csv.gz")
    with pytest.raises(DataError, match="expected a table"):
        score_files([file])


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("path", ["a", None], "paths from the folder"),
        ("label", ["no", None], "labels of no, yes; received an empty text"),
        ("group", ["1", None], "a group for each image"),
        ("group", ["x" * 5000] * 2, "at most 4096 characters, received 5000 in group"),
        ("p_no", [[0.5], [0.5]], "a column p_no of list<"),
        ("p_no", [b"x" * 9999, b"x"], "a column p_no of binary"),
        ("p_no", ["0.5", "0.5"], "a column p_no of string"),
    ],
)
@pytest.mark.fault("9l", "a Parquet of predictions with nulls, lists, bytes or huge texts", "refused in one line")
def test_cells_of_other_types_are_refused_in_one_line(tmp_path, column, values, words):
    table = {"path": ["a", "b"], "label": ["no", "yes"], "p_no": [0.5, 0.5], "p_yes": [0.5, 0.5], column: values}
    parquet.write_table(pa.table(table), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=words) as caught:
        score_files([tmp_path / "a.parquet"])
    assert len(str(caught.value)) < 600 and str(caught.value).isprintable()


@pytest.mark.fault(
    "9m", "a Parquet that decodes to more bytes than it announces", "refused at the first block that is too large"
)
def test_a_parquet_that_decodes_to_more_than_it_announces_is_refused(tmp_path, monkeypatch):
    groups = pa.array(["x" * 1000 + str(n) for n in range(2000)])
    numbers = {"path": pa.array(map(str, range(2000))), "p_no": pa.array([0.5] * 2000), "p_yes": pa.array([0.5] * 2000)}
    table = pa.table({"label": ["no", "yes"] * 1000, "group": groups, **numbers})
    parquet.write_table(table, tmp_path / "a.parquet", compression="zstd", row_group_size=500)
    assert (tmp_path / "a.parquet").stat().st_size < 500_000
    monkeypatch.setattr(prediction_files, "MOST_BYTES", 500_000)
    with pytest.raises(DataError, match="500 rows of [0-9]+ bytes, or more"):
        score_files([tmp_path / "a.parquet"])


def test_csv_and_parquet_give_the_same_scores(tmp_path):
    table = pd.DataFrame({"path": ["a", "b", "c"], "label": [0, 1, 1], "p_0": [0.9, 0.2, 0.7], "p_1": [0.1, 0.8, 0.3]})
    table.to_csv(tmp_path / "a.csv", index=False)
    table.to_parquet(tmp_path / "b.parquet")
    with_mark = written(tmp_path, b"\xef\xbb\xbf" + (tmp_path / "a.csv").read_bytes(), "c.csv")  # as spreadsheets write
    results = score_files([tmp_path / "a.csv", tmp_path / "b.parquet", with_mark])
    found = [results.estimate(arm, "test", "sensitivity").value for arm in ("a", "b", "c")]
    assert found == [0.5, 0.5, 0.5]


def test_probabilities_of_three_digits_need_not_sum_to_one_exactly(tmp_path):
    results = score_files([written(tmp_path, "path,label,p_a,p_b,p_c\nx,a,0.333,0.333,0.333\ny,b,0.1,0.801,0.1\n")])
    assert results.estimate("model", "test", "accuracy").value == 1


@pytest.fixture
def images(tmp_path):
    """Six images of noise, of which no/2.png is the same as no/0.png."""
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 8), dtype=np.uint8)
    pixels[2] = pixels[0]
    for n, each in enumerate(pixels):
        write_image(
            tmp_path / "images" / ("no" if n < 3 else "yes") / f"{n}.png", np.kron(each, np.ones((16, 16), np.uint8))
        )
    return tmp_path / "images"


ROWS = "path,label,part,p_no,p_yes\nno/0.png,,train,,\nyes/3.png,,train,,\n"
TEST = "no/1.png,no,test,0.4,0.6\nno/2.png,no,test,0.9,0.1\nyes/4.png,yes,test,0.3,0.7\nyes/5.png,yes,test,0.6,0.4\n"


def test_scores_leave_out_the_test_images_with_a_duplicate_in_training(tmp_path, images):
    results = score_files([written(tmp_path, ROWS + TEST)], images=images)
    assert results.estimate("model", "test", "accuracy").value == 2 / 4
    without = results.without_duplicates
    assert sorted(without.predictions("model", "test")["path"]) == ["no/1.png", "yes/4.png", "yes/5.png"]
    assert without.estimate("model", "test", "accuracy").value == pytest.approx(1 / 3)
    frame = scored.of_file(results, "model").frame.set_index("score")
    assert frame.loc["accuracy", ["all", "without duplicates"]].tolist() == [0.5, pytest.approx(1 / 3)]
    assert frame.loc["specificity", ["n all", "n without duplicates"]].tolist() == [2, 1]
    assert results.errors("model")["file"].tolist() == [str(images / "no/1.png"), str(images / "yes/5.png")]


def test_what_was_found_among_the_images_is_taken_from_the_store(tmp_path, images, monkeypatch):
    file, store = written(tmp_path, ROWS + TEST), tmp_path / "store"
    first = score_files([file], images=images, store=store)
    searched = "brainlib.audit.near_duplicates.find_near_duplicates"
    monkeypatch.setattr(searched, lambda *_, **__: pytest.fail("searched again"))
    assert score_files([file], images=images, store=store).study.groups == first.study.groups
    assert cli.main(["score", str(file), "--images", str(images), "--out", str(tmp_path)]) == 0


def test_a_file_names_the_training_images(tmp_path, images):
    test = written(tmp_path, "path,label,part,p_no,p_yes\n" + TEST.replace("no/1.png,no,test,0.4,0.6\n", ""))
    results = score_files([test], images=images, train=written(tmp_path, "path\nno/0.png\n", "train.csv"))
    assert results.without_duplicates.predictions("model", "test")["path"].tolist() == ["yes/4.png", "yes/5.png"]
    assert "none can be left out" in scored.of_file(score_files([test], images=images), "model").caption


def test_groups_of_the_file_stand_for_images_that_are_not_given(tmp_path):
    rows = "path,label,part,group,p_no,p_yes\na,no,train,7,,\nb,no,test,7,0.9,0.1\nc,yes,test,8,0.9,0.1\n"
    results = score_files([written(tmp_path, rows)])
    assert results.without_duplicates.estimate("model", "test", "accuracy").value == 0
    alone = score_files([written(tmp_path, ROWS + TEST)])
    assert list(scored.of_file(alone, "model").frame) == ["score", "all", "all low", "all high", "n all"]


def test_images_and_training_images_that_cannot_be_are_refused(tmp_path, images):
    file = written(tmp_path, ROWS + TEST)
    with pytest.raises(UsageError, match="--images: expected a folder"):
        score_files([file], images=tmp_path / "nowhere")
    with pytest.raises(DataError, match="with path; received no file"):
        score_files([file], images=images, train=images)
    with pytest.raises(DataError, match="not trained on, received 2, such as no/1.png"):
        score_files([file], images=images, train=written(tmp_path, "path\nno/1.png\nyes/4.png\n", "train.csv"))
    with pytest.raises(DataError, match="with path; received columns file"):
        score_files([file], images=images, train=written(tmp_path, "file\nno/0.png\n", "train.csv"))
    (images / "yes" / "4.png").unlink()
    with pytest.raises(DataError, match=r"yes/4.png: "):
        score_files([file], images=images)


def test_two_files_are_compared_on_the_same_images(tmp_path):
    rng, n = np.random.default_rng(1), 60
    truth, files = np.arange(n) % 2, []
    for name, noise in (("good", 0.6), ("poor", 1.4)):
        p = 1 / (1 + np.exp(-(2 * truth - 1 + noise * rng.normal(size=n))))
        table = pd.DataFrame({"path": [f"{i}" for i in range(n)], "label": np.where(truth, "yes", "no"), "p_no": 1 - p})
        order = rng.permutation(n)
        table.assign(p_yes=p).iloc[order].to_csv(tmp_path / f"{name}.csv", index=False)
        files.append((p > 0.5) == truth)
    results = score_files([tmp_path / "good.csv", tmp_path / "poor.csv"])
    tests = scored.comparisons.same_images(results).frame
    assert tests["p"][0] == pytest.approx(mcnemar(*files).p) and tests["score"].tolist() == ["accuracy", "AUC"]
    assert (tests["p, Holm"] >= tests["p"]).all()
    first = (tmp_path / "good.csv").read_text().splitlines()
    for changed, words in (
        ("\n".join(first[:-1]), "received 59 images of no, yes"),
        (GOOD.replace("no,", "nO,"), "received 2 images of nO, yes"),
    ):
        with pytest.raises(DataError, match=words):
            score_files([tmp_path / "good.csv", written(tmp_path, changed, "other.csv")])


def perfect(n, wrong=0):
    """Predictions for n images of each class, of which some of "no" are wrong."""
    rows = [f"{label}/{i}.png,{label}" for label in ("no", "yes") for i in range(n)]
    p = [1.0 if i < wrong else 0.0 for i in range(n)] + [1.0] * n
    return "path,label,p_yes,p_no\n" + "".join(f"{row},{q},{1 - q}\n" for row, q in zip(rows, p, strict=True))


def test_verdicts_are_those_of_the_arm_that_a_file_stands_for(tmp_path, monkeypatch):
    # 600 test images of the paper, of which 12 are wrong: 98 % (96.5 to 98.9) against 99.67 % and 98 %.
    file = written(tmp_path, perfect(300, wrong=12), "cnn.csv")
    without = {claim.verdict for claim in judge(score_files([file], paper="jardim"))}
    assert without == {"not comparable", "not computed"}
    monkeypatch.setattr(scoring, "_differences", lambda *given: ())
    judged = {claim.id: claim for claim in judge(score_files([file], paper="jardim"))}
    accuracy = judged["abstract.en.cnn.accuracy"]
    assert (accuracy.reproduced.value, accuracy.verdict) == (0.98, "inconclusive")
    assert judged["abstract.en.cnn.sensitivity"].verdict == "reproduced"
    assert (
        judged["abstract.en.transfer.accuracy"].verdict == judged["table1.cnn.fold1.accuracy"].verdict == "not computed"
    )
    again = {c.id: c for c in judge(score_files([file.rename(tmp_path / "transfer.csv")], paper="jardim"))}
    assert again["abstract.en.transfer.accuracy"].verdict == "reproduced"
    shown = scored.verdicts(score_files([tmp_path / "transfer.csv"], paper="jardim")).frame
    assert set(shown["images"]) == {"all"}


def test_only_the_papers_own_images_are_comparable(tmp_path, monkeypatch, images):
    file = written(tmp_path, ROWS + TEST, "cnn.csv")
    info = info_of("br35h")
    own = info.__class__(info.name, "", "", "", tuple(Folder(label, label, "", 3) for label in ("no", "yes")))
    foreign = score_files([file], images=images, paper="jardim").study.conditions()
    assert foreign == ("other images than the paper's", "4 test images in place of 600")
    monkeypatch.setattr(scoring, "info_of", lambda name: own)
    assert score_files([file], images=images, paper="jardim").study.conditions() == foreign[1:]
    (images / "truth.csv").touch()
    wrong = written(tmp_path, (ROWS + TEST).replace("5.png,yes", "5.png,no"), "cnn.csv")
    found = score_files([wrong], images=images, paper="jardim").study.conditions()
    assert found == ("phantoms", "1 label other than the published ones", "4 test images in place of 600")


@pytest.mark.parametrize(
    ("names", "options", "words"),
    [
        (["model", "cnn"], ["--paper=jardim"], "the names of arms of jardim: cnn, transfer; received"),
        (["vgg16"], ["--paper=lu"], "the classes of lu, no_tumor, glioma_tumor or "),
        (["cnn"], ["--paper=nobody"], "nobody"),
        (["a/cnn", "b/cnn"], [], "the names of different models"),
    ],
)
def test_a_file_has_a_name_of_its_own_or_that_of_an_arm_with_its_classes(tmp_path, capsys, names, options, words):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
    assert cli.main(["score", *(str(written(tmp_path, GOOD, f"{name}.csv")) for name in names), *options]) == 2
    error = capsys.readouterr().err.removeprefix("reading predictions\n")
    assert words in error and error.count("\n") == 1


def test_classes_choose_the_scenario_of_a_paper(tmp_path):
    text = GOOD.replace("p_no", "p_no_tumor").replace("p_yes", "p_glioma_tumor")
    file = written(tmp_path, text.replace(",no,", ",no_tumor,").replace(",yes,", ",glioma_tumor,"), "vgg16.csv")
    results = score_files([file], paper="lu")
    assert results.study.scenarios == ("glioma",)
    assert {c.scenario for c in judge(results) if c.reproduced} == {"glioma"}


def test_the_command_prints_every_table_and_writes_them(tmp_path, capsys):
    text = "path,label,p_a,p_b,p_c\n" + "".join(f"{i},{'abc'[i % 3]},0.5,0.3,0.2\n" for i in range(9))
    files = [str(written(tmp_path, text, f"{name}.csv")) for name in ("one", "two<b>")]
    assert cli.main(["score", *files, f"--json={tmp_path / 'o.json'}", f"--html={tmp_path / 'o.html'}"]) == 0
    printed = capsys.readouterr().out
    for word in ("sensitivity (macro)", "weighted average", "predicted c", "Brier", "McNemar"):
        assert word in printed
    rows = pd.DataFrame(pd.read_json(tmp_path / "o.json")["rows"][0]).set_index("score")
    assert rows.loc["accuracy", "all"] == pytest.approx(1 / 3)
    assert rows.loc["loss", "all"] == pytest.approx(-(math.log(0.5) + math.log(0.3) + math.log(0.2)) / 3)
    page = (tmp_path / "o.html").read_text()
    assert "two&lt;b&gt;" in page and "<b>" not in page

"""The command line: ``brainlib --help`` lists its commands, and docs/options.md has examples.

Exit status: 0 on success; 1 if a notebook failed (the others ran, and the index names it and the
reason); 2 for invalid usage or input (reported in one line; nothing is written); 130 if interrupted (SIGINT, as by
Ctrl-C), 143 if ended (SIGTERM), 129 if its terminal was closed (SIGHUP).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path

from brainlib import io, progress
from brainlib.ending import heed_signals
from brainlib.errors import BrainlibError, StoreError, UsageError
from brainlib.papers.loading import load_paper, paper_ids
from brainlib.study.options import KAGGLE, PHANTOMS, Options, papers_with
from brainlib.trials import devices


def main(argv: list[str] | None = None) -> int:
    """Run a command with its arguments, by default those of the program, and return the exit status."""
    received = heed_signals() if argv is None else []
    try:
        arguments = parser().parse_args(argv)
        status = arguments.command(arguments)
    except BrainlibError as error:
        print(f"brainlib: error: {error}", file=sys.stderr)
        status = 2
    except OSError as error:  # of the machine, such as a current folder that was removed
        if error.errno is None:
            raise
        what = f"{os.strerror(error.errno)}: {str(error.filename or '')[:200]}".rstrip(": ")
        print(f"brainlib: error: {what} ({type(error).__name__})", file=sys.stderr)
        status = 2
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    return 128 + received[0] if received else status


class _Parser(argparse.ArgumentParser):
    """Reports an error in one line without the usage."""

    def error(self, message):
        raise UsageError(f"{message}; see {self.prog} --help")


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    made = _Parser(prog="brainlib", description="Reproduces and audits brain-tumour MRI papers.", allow_abbrev=False)
    commands = made.add_subparsers(required=True, metavar="COMMAND")

    def command(name, function, summary):
        added = commands.add_parser(name, help=summary, description=f"{summary.capitalize()}.", allow_abbrev=False)
        added.set_defaults(command=function)
        return added

    run = command("run", _run, "run the papers' notebooks and write the report")
    run.add_argument("--papers", default=[], type=_names, metavar="A,B", help="papers to run; all by default")
    for name, field in Options.model_fields.items():
        run.add_argument(f"--{name}", help=field.description, **_argument(field))
    run.add_argument("--jobs", type=int, metavar="N", help=devices.RULE)

    claims = command("claims", _claims, "list every printed number of a paper")
    check = command("check", _check_printed, "check, without training, whether the printed numbers are possible")
    audit = command("audit", _audit, "find duplicates, leaks and contradictory labels in images")
    score = command("score", _score, "score predictions of any program, also without duplicates")
    verify = command("verify", _verify, "compute the reference results of a checkout again from kept predictions")
    export = command("export", _export, "write a trained model and its card to a folder")
    app = command("app", _app, "show images to trained models, in a browser")

    target = "a registered set, a folder with one folder for each class, or a YAML file that describes one"
    audit.add_argument("target", metavar="SET|DIR|YAML", help=target)
    for name, metavar, meaning in (
        (
            "--add",
            "SET|DIR|YAML",
            "more images: they alone are compared with all, if the store of --out knows the others",
        ),
        ("--decisions", "FILE", "pairs of a reviewer, which groups follow (CSV: first, second, confirmed or rejected)"),
        ("--scheduler", "ADDRESS", "Dask scheduler whose workers compare the images; by default this machine does"),
        ("--split", "FILE", "write a split that divides no duplicates and no patient (CSV: path, label, part, group)"),
    ):
        audit.add_argument(name, default="", metavar=metavar, help=meaning)
    audit.add_argument("--seed", default=0, type=int, metavar="N", help="seed of the split, 0 by default")
    score.add_argument("files", nargs="+", metavar="FILE", help="CSV or Parquet: path, label, p_CLASS for each class")
    score.add_argument("--images", default="", metavar="DIR", help="the folder that the paths start from")
    trained = "file whose column path names what was trained on (its part 'train', if it has parts)"
    score.add_argument("--train", default="", metavar="FILE", help=trained)
    judged = "paper whose printed numbers are judged; each file has the name of one of its arms"
    score.add_argument("--paper", default="", metavar="ID", help=judged)
    kept = "folder of the report, whose store keeps what was found among the images"
    score.add_argument("--out", default="reports", type=_folder, metavar="DIR", help=kept)
    audit.add_argument("--out", type=_folder, metavar="DIR", help=f"{kept}; by default nothing is kept")
    export.add_argument("trial", metavar="TRIAL", help="key of a stored model, its first digits, or its name")
    export.add_argument("folder", metavar="DIR", help="a new or empty folder")
    for each in (claims, check):
        each.add_argument("papers", nargs="?", default=paper_ids(), type=_names, metavar="PAPER", help="all by default")
    for each in (claims, check, audit, score):
        each.add_argument("--json", default="", metavar="FILE", help="write the result as JSON")
    for each in (check, score, audit):
        each.add_argument("--html", default="", metavar="FILE", help="write the result as a page")
    for each in (audit, app):
        each.add_argument("--data", default="", metavar="DIR", help=Options.model_fields["data"].description)
    used = "folder of the report whose models are used"
    for each in (export, app):
        each.add_argument("--out", default="reports", type=_folder, metavar="DIR", help=used)
    checkout = "checkout of the project; by default the current folder"
    verify.add_argument("checkout", nargs="?", default=".", metavar="DIR", help=checkout)
    app.add_argument("--port", default=8866, type=int, metavar="N", help="8866 by default, or the next that is free")
    app.add_argument("--no-browser", action="store_true", help="only print the address")
    return made


def _argument(field):
    """How argparse reads an option: by its type and with its default."""
    default = field.get_default()
    if isinstance(default, bool):
        return {"action": "store_true"}
    if isinstance(default, dict):
        return {"default": [], "type": _substitution, "metavar": "A=B", "action": "append"}
    readers = {int: {"type": int, "metavar": "N"}, list: {"type": _names, "metavar": "A,B"}}
    return {"default": default, **readers.get(type(default), {})}


def _names(text):
    return list(dict.fromkeys(filter(None, map(str.strip, text.split(",")))))


def _folder(text):
    if not text:
        raise UsageError("--out: expected the name of a folder, received ''")
    return text


def _substitution(text):
    stated, found, used = text.partition("=")
    if not (stated and found and used):
        raise UsageError(f"--backbone: expected A=B, such as resnet50v2=mobilenet_v2; received '{text}'")
    return stated, used


def _absolute(path, *words):
    return path if path in ("", *words) else os.path.abspath(os.path.expanduser(path))


def options_of(arguments: argparse.Namespace) -> Options:
    """Return the options that the arguments of ``brainlib run`` give."""
    from brainlib.models.backbones import IMAGENET, RANDOM

    given = {name: getattr(arguments, name) for name in Options.model_fields}
    # Workers and a reader of the executed notebook may be in another folder.
    for name, words in {"data": (KAGGLE, PHANTOMS), "weights": (IMAGENET, RANDOM, PHANTOMS), "out": ()}.items():
        given[name] = _absolute(given[name], *words)
    return Options.of({**given, "backbone": dict(arguments.backbone)})


def _run(arguments):
    devices.check()
    # nbformat imports jsonschema, which would take a second to build a grammar of addresses that no notebook needs.
    sys.modules.setdefault("rfc3987_syntax", None)
    from brainlib.report import crate, index, notebook
    from brainlib.study import data_audit
    from brainlib.trials import workers

    for paper in set(arguments.papers) - set(paper_ids()):
        raise UsageError(f"--papers: expected some of {', '.join(paper_ids())}; received '{paper}'")
    papers = arguments.papers or papers_with(arguments.arms, arguments.scenarios)
    if arguments.jobs is not None and arguments.jobs < 1:
        raise UsageError(f"--jobs: expected 1 or more, received {arguments.jobs}")
    options = options_of(arguments)
    notebooks = {name: _notebook(name) for name in (data_audit.NAME, *papers)}
    out = Path(options.out)
    with _leaving_nothing(out):
        studies = _check(papers, options)
        if options.scheduler:
            real = [study.indexed for study in studies if options.source != PHANTOMS]
            files = {file for data in real for file in data.sizes()}
            workers.run(print, [], options.scheduler, None, options.store, sorted(files))  # checks the workers
    waits = f"another run uses {out}; this one begins when it has ended"
    with contextlib.ExitStack() as held:
        held.enter_context(io.alone_in(options.store, lambda: progress.log(waits)))
        io.sweep(out)
        held.callback(io.sweep, out)  # what a killed process of this run left
        # Where models are stored already, few runs need TensorFlow.
        warm = options.fresh or not (options.store / "trials").is_dir()
        address = options.scheduler or held.enter_context(workers.local_cluster(arguments.jobs, warm=warm))
        parameters = {**options.model_dump(), "scheduler": address}
        audited = {name: parameters[name] for name in ("profile", "data", "controls", "out")}
        audited["sets"] = list(dict.fromkeys(study.paper.data.set.value for study in studies))
        given = {path: audited if name == data_audit.NAME else parameters for name, path in notebooks.items()}
        audit, *outcomes = notebook.run_notebooks(given, out)
        try:
            results = index.write_results(out, outcomes, audit)
            page = index.write_index(out, results)
            crate.write_crate(out, results)
        except StoreError as error:  # no mistake in the request
            print(f"brainlib: error: {error}", file=sys.stderr)
            return 1
    entries = {data_audit.NAME: results.audit, **results.papers}
    for name, entry in entries.items():
        print(f"{name}: {f'FAILED: {entry.error}' if entry.error else 'ran'} ({entry.seconds:.0f} s)")
    print(f"report: {page}")
    return int(any(entry.error for entry in entries.values()))


def _notebook(paper):
    path = Path(__file__).parents[1] / "notebooks" / f"{paper}.ipynb"
    if not path.is_file():
        raise UsageError(f"{paper}: its notebook is not beside the package; run from a checkout of the project")
    return path


def _check(papers, options):
    """Find now what would fail later (data, images, weights, output folder); return the studies."""
    from brainlib.data import datasets
    from brainlib.data.own import is_own
    from brainlib.study.study import Study

    studies = [Study(paper, **options.model_dump()) for paper in papers]
    with io.writing(Path(options.out) / ".writable"):
        pass
    (Path(options.out) / ".writable").unlink(missing_ok=True)  # another run may have been faster
    for study in studies if options.source not in (PHANTOMS, KAGGLE) and not is_own(options.source) else ():
        datasets.locate(study.paper.data.set.value, Path(options.source), options.store)
    for study in studies if options.source != PHANTOMS else ():
        _ = study.indexed  # scans every image that was not scanned before
    return studies


@contextlib.contextmanager
def _leaving_nothing(out):
    """On an error, remove the scan of images and the folders that the check made; what another run stores stays."""
    scan = out / "store" / "scan"
    absent = [folder for folder in (scan, *scan.parents) if not os.path.exists(folder)]  # Path.exists may raise
    before = set(scan.rglob("*"))
    try:
        yield
    except BaseException:
        for path in (*sorted(set(scan.rglob("*")) - before, reverse=True), *absent):  # the deepest first
            with contextlib.suppress(OSError):  # a folder that was not made or is not empty
                path.rmdir() if path.is_dir() else path.unlink()
        raise


def _check_printed(arguments):
    from brainlib.papers.conclusions import as_printed
    from brainlib.papers.consistency import check_paper
    from brainlib.report import consistency

    papers = [load_paper(name) for name in arguments.papers]
    found = {paper.id: check_paper(paper) for paper in papers}
    concluded = {paper.id: as_printed(paper) for paper in papers}
    if arguments.json:
        rows = [asdict(check) for checks in found.values() for check in checks]
        rows += [{"paper": paper, **asdict(each)} for paper, judged in concluded.items() for each in judged]
        io.write_json(Path(arguments.json), rows)
    if arguments.html:
        titles = {paper.id: paper.citation.title for paper in papers}
        consistency.write_page(Path(arguments.html), found, titles, concluded)
    return 0 if arguments.json or arguments.html else _printed(consistency.lines(found, concluded))


def _audit(arguments):
    from brainlib.audit.findings import audit_folder
    from brainlib.report import reviewing
    from brainlib.report.tables import audit as tables
    from brainlib.trials import workers

    if not 0 <= arguments.seed < 2**31:
        raise UsageError(f"--seed: expected 0 to {2**31 - 1}, received {arguments.seed}")
    data = arguments.data or os.environ.get("BRAINLIB_DATA", "")
    with progress.shown(f"auditing {arguments.target}") as on_progress:
        given = (arguments.target, data, Path(arguments.out) / "store" if arguments.out else None, on_progress)
        run = partial(workers.run, scheduler=arguments.scheduler) if arguments.scheduler else None
        found = audit_folder(*given, added=arguments.add, decisions=arguments.decisions, run=run)
    if arguments.json:
        io.write_json(Path(arguments.json), found.as_dict())
    if arguments.html:
        reviewing.write_page(Path(arguments.html), found)
    if arguments.split:
        with io.writing(Path(arguments.split)) as file:
            file.write(found.split(arguments.seed).to_csv(index=False).encode())
    return _printed(tables.lines(found))


def _score(arguments):
    from brainlib.report import pages
    from brainlib.report.tables import scored
    from brainlib.study.scoring import score_files

    given = (arguments.files, arguments.images, arguments.train, arguments.paper, Path(arguments.out) / "store")
    with progress.shown("reading predictions") as on_progress:
        results = score_files(*given, on_progress=on_progress)
    tables = scored.every(results)
    if arguments.json:
        io.write_json(Path(arguments.json), scored.as_json(tables))
    if arguments.html:
        pages.write(Path(arguments.html), "scores.html.j2", tables=tables)
    return _printed(scored.lines(tables))


def _verify(arguments):
    from brainlib.report.verifying import DIFFERENT, verify

    findings = set()
    for found in verify(Path(arguments.checkout).resolve()):
        findings.add(found.finding)
        _printed([f"{found.what}: {found.finding}", *(f"  {line}" for line in found.lines)])
    return int(DIFFERENT in findings)


def _export(arguments):
    from brainlib.report.model_cards import export

    print(export(Path(arguments.out) / "store", arguments.trial, Path(arguments.folder)))
    return 0


def _app(arguments):
    devices.check()
    try:
        from brainlib.app.server import serve
    except ModuleNotFoundError as error:  # the extra that has it was not installed
        message = f"app: expected the package {error.name}, received none; pip install 'brainlib[notebook]'"
        raise UsageError(message) from None
    if not 0 < arguments.port < 65536:
        raise UsageError(f"--port: expected 1 to 65535, received {arguments.port}")
    if (data := _absolute(arguments.data)) and not Path(data).exists():
        raise UsageError(f"--data: expected a folder of images or a YAML file, received {arguments.data}")
    serve(Path(_absolute(arguments.out)), data, port=arguments.port, browser=not arguments.no_browser)
    return 0


def _claims(arguments):
    claims = [(paper, claim) for paper in arguments.papers for claim in load_paper(paper).claims]
    if arguments.json:
        io.write_json(Path(arguments.json), [{"paper": p, **claim.model_dump(mode="json")} for p, claim in claims])
        return 0
    line = "{:12}{:40} {:14}{:12}{:8}{}".format
    concluded = [(paper, each) for paper in arguments.papers for each in load_paper(paper).conclusions]
    lines = [line(p, c.id, c.printed, c.unit, "" if c.n is None else f"n={c.n}", c.where) for p, c in claims]
    lines += [line(p, c.id, "conclusion", c.kind, "", f'"{c.quote}" ({c.where})') for p, c in concluded]
    return _printed(lines)


def _printed(lines):
    """Print lines and return the exit status, also where the reader of a pipe ends before the last line."""
    with contextlib.suppress(AttributeError):  # standard output that is closed, or a notebook's
        sys.stdout.reconfigure(errors="backslashreplace")  # of letters that its encoding lacks
    try:
        print(*lines, sep="\n", flush=True)
    except OSError as error:  # which Python would report once more on exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise StoreError(f"standard output: expected to print there, received {error.strerror}") from None
    return 0

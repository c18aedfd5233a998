"""Reads YAML that nobody vouches for into plain values.

Only what a reader of the file would expect: no anchors or aliases (a small file could grow without
limit), no tags, no duplicate keys (the first would be lost), text keys, at most 1 MB of UTF-8. In
YAML 1.1 a bare `no` or `yes` is a truth value and `1e-4` is text, so write `"no"` and `0.0001`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from brainlib.errors import PaperError

MAX_BYTES = 1_000_000


def read_plain_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping that a YAML file holds, with a tuple for every list.

    Raises
    ------
    PaperError
        In one line: a file that is missing, over `MAX_BYTES`, no UTF-8 or no plain YAML mapping.
    """
    text = _read(path)
    try:
        data = yaml.load(text, Loader=_PlainLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"line {mark.line + 1}: " if mark else ""
        problem = getattr(error, "problem", None) or str(error)
        raise PaperError(f"{path.name}: {place}{' '.join(problem.split())}") from None
    except RecursionError:
        raise PaperError(f"{path.name}: expected a few levels of keys, received too many") from None
    except ValueError as error:  # such as a number with 5000 digits, or a date in month 13
        raise PaperError(f"{path.name}: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        raise PaperError(f"{path.name}: expected a mapping of keys, received {shorten(data)}")
    return data


def shorten(value: Any) -> str:
    """Return a value as one short line, for a message."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _read(path: Path) -> str:
    """Return the text of a regular file of at most `MAX_BYTES` in UTF-8."""
    try:
        if not path.is_file():
            raise PaperError(f"{shorten(str(path))}: expected a YAML file, found none")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise PaperError(f"{path.name}: expected at most {MAX_BYTES} bytes, received more")
        return content.decode("utf-8")
    except OSError as error:
        raise PaperError(f"{path.name}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise PaperError(f"{path.name}: expected text in UTF-8, received other bytes") from None


class _PlainLoader(yaml.SafeLoader):
    """YAML's safe loader without aliases (which can grow without limit) and duplicate keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if getattr(event, "anchor", None) is not None:
            raise yaml.composer.ComposerError(
                None, None, f"expected no anchors or aliases, received {event.anchor!r}", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict:
        keys: set[str] = set()
        pairs = node.value if isinstance(node, yaml.MappingNode) else ()  # super refuses others
        for key_node, _ in pairs:
            key = self.construct_object(key_node, deep=True)
            problem = (
                "expected text as a key"
                if not isinstance(key, str)
                else "expected each key once"
                if key in keys
                else ""
            )
            if problem:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{problem}, received {shorten(key)}", key_node.start_mark
                )
            keys.add(key)
        return super().construct_mapping(node, deep=deep)


def _tuple(loader: _PlainLoader, node: yaml.SequenceNode) -> tuple:
    return tuple(loader.construct_sequence(node, deep=True))


_PlainLoader.add_constructor("tag:yaml.org,2002:seq", _tuple)

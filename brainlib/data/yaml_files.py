"""YAML files that a user wrote: read as plain data only, and what is wrong with one said in a line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from brainlib.errors import shorten

SUFFIXES = (".yaml", ".yml")
MAX_BYTES = 1_000_000


class _PlainLoader(yaml.SafeLoader):
    """YAML's safe loader without anchors, aliases (which can grow without limit), tags and duplicate keys."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()
        if getattr(event, "anchor", None) is not None:
            self._refuse(f"expected no anchors or aliases, received {event.anchor!r}", event)
        if getattr(event, "tag", None):  # of a text that is none of its kind, such as !!int "", YAML's own fail
            self._refuse(f"expected no tags, received {shorten(event.tag)}", event)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict:
        keys: set[str] = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():  # super refuses others
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                self._refuse(f"expected text as a key, received {shorten(key)}", key_node)
            if key in keys:
                self._refuse(f"expected each key once, received {shorten(key)}", key_node)
            keys.add(key)
        return super().construct_mapping(node, deep=deep)

    def construct_scalar(self, node: Any) -> Any:
        value = super().construct_scalar(node)
        if self.NON_PRINTABLE.search(value):  # as an escape; raw, the reader refuses it
            self._refuse("special characters are not allowed", node)
        return value

    def _refuse(self, problem: str, place: Any) -> None:
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=place.start_mark)


_PlainLoader.add_constructor(
    "tag:yaml.org,2002:seq", lambda loader, node: tuple(loader.construct_sequence(node, deep=True))
)


class _TextLoader(_PlainLoader):
    """Also takes every value as text, so that a bare `no` is a word."""

    yaml_implicit_resolvers: dict = {}


def read_yaml(path: Path, text: bool = False) -> dict[str, Any]:
    """Return the mapping that a YAML file holds, with a tuple for every list; ValueError, in a line, if it holds none.

    In YAML 1.1 a bare `no` or `yes` is a truth value and `1e-4` is text, so write `"no"` and `0.0001`. With `text`
    every value is text as it stands.
    """
    try:
        if not path.is_file():
            raise ValueError("expected a YAML file, found none")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f"expected at most {MAX_BYTES} bytes, received more")
        data = yaml.load(content.decode("utf-8"), Loader=_TextLoader if text else _PlainLoader)
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise ValueError("expected text in UTF-8, received other bytes") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = " ".join((getattr(error, "problem", None) or str(error)).split())
        raise ValueError(f"line {mark.line + 1}: {problem}" if mark else problem) from None
    except RecursionError:
        raise ValueError("expected a few levels of keys, received too many") from None
    if not isinstance(data, dict):
        raise ValueError(f"expected a mapping of keys, received {shorten(data)}")
    return data


def first_problem(error: ValidationError, content: dict[str, Any]) -> str:
    """Return the first of pydantic's complaints as a key path of the file and what is wrong."""
    errors = error.errors(include_url=False)
    kind, location, message = (errors[0][key] for key in ("type", "loc", "msg"))
    path, here = "", content
    for i, key in enumerate(location):
        held = key in here if isinstance(here, dict) else isinstance(here, tuple) and key in range(len(here))
        if held or (kind == "missing" and i == len(location) - 1):
            path += f"[{key}]" if isinstance(key, int) else f".{key}"
            here = here[key] if held else None
        # else pydantic's name for a branch of a union, which is no key of the file
    if kind == "missing":
        message = "expected this key, received none"
    elif kind == "extra_forbidden":
        message = "expected no key of this name here; check its spelling and its place"
    elif kind == "value_error":
        message = str(errors[0]["ctx"]["error"])
    else:
        message += f", received {shorten(errors[0]['input'])}"
    others = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{path.lstrip('.')}: {message}{others}"

"""A user's own function in place of a part of ours: a model, an optimizer, a schedule or callbacks.

Its source determines what a function does, so a hash of that is a part of a trial's key. The function itself travels
to the process that trains by cloudpickle, and is never stored.
"""

from __future__ import annotations

import dis
import hashlib
import importlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePath
from types import CodeType, FunctionType, ModuleType

import cloudpickle

from brainlib.errors import UsageError


@dataclass(frozen=True)
class Own:
    """A function, its name such as "package.module:function" or, in a notebook, "__main__:function", and its hash.

    The hash is of the whole source of its module. In a notebook or a script, it is of the function's own source, of the
    functions there that it calls and of the plain values there that it uses. Values that it closes over are covered
    too. Not covered are modules that it imports and files that it reads, such as pretrained weights: after a change of
    one, train with ``fresh=True``.
    """

    name: str
    sha256: str
    call: Callable = field(compare=False, repr=False)


def own(function: Callable | str) -> Own:
    """Identify a Python function, given by itself or by its import path "package.module:function".

    `UsageError` if there is none, if its source is unknown, or if it uses values of a notebook that are not plain.
    """
    try:
        if isinstance(function, str):
            module, _, name = function.partition(":")
            function = getattr(importlib.import_module(module), name)
        if not isinstance(function, FunctionType):
            raise TypeError(f"{type(function).__name__} is none")
        text = "\0".join(_texts(function, set()))
    except (ImportError, AttributeError, TypeError, ValueError, OSError) as error:
        expected = "expected a Python function whose source is known, or package.module:function"
        raise UsageError(f"{expected}; received {function} ({error})") from error
    name, digest = f"{function.__module__}:{function.__qualname__}", hashlib.sha256(text.encode()).hexdigest()
    # A copy of a notebook's function keeps the values that it uses as they are now.
    return Own(name, digest, cloudpickle.loads(cloudpickle.dumps(function)))


def by_name(values: dict) -> tuple[dict, dict[str, Own]]:
    """Return values with names in place of functions, and the functions by name; a notebook may have several of one."""
    found = {key: own(value) for key, value in values.items() if callable(value)}
    names = {key: f"{each.name}#{each.sha256[:8]}" for key, each in found.items()}
    return values | names, {names[key]: each for key, each in found.items()}


def _texts(value, seen: set) -> Iterator[str]:
    """Yield the texts that determine a value: of a function, its source and those of what it uses."""
    if isinstance(value, FunctionType):
        if value in seen:
            return
        seen.add(value)
        code, notebook = value.__code__, value.__module__ == "__main__"
        yield inspect.getsource(value if notebook else inspect.getmodule(value))
        cells = zip(code.co_freevars, value.__closure__ or (), strict=True)
        used = {name: cell.cell_contents for name, cell in cells}
        used |= {"its defaults": (value.__defaults__, value.__kwdefaults__)}
        if notebook:
            used |= {name: value.__globals__[name] for name in _names(code) if name in value.__globals__}
        for name, each in sorted(used.items()):
            try:
                yield from (name, *_texts(each, seen))
            except TypeError as error:
                raise TypeError(f"{name}: {error}") from error
    elif isinstance(value, dict | list | tuple):
        for each in value.items() if isinstance(value, dict) else value:
            yield from (type(value).__name__, *_texts(each, seen))
    elif isinstance(value, ModuleType):
        yield value.__name__
    elif hasattr(value, "__qualname__") and value.__module__ != "__main__":  # such as a class of a package
        yield f"{value.__module__}.{value.__qualname__}"
    elif isinstance(value, str | bytes | int | float | PurePath | None):
        yield repr(value)
    else:
        raise TypeError(f"{type(value).__name__} is neither a function, a module nor plain; make it inside")


def _names(code: CodeType) -> set[str]:
    """Names of the globals that a function, or one within it, uses."""
    names = {each.argval for each in dis.get_instructions(code) if each.opname in ("LOAD_GLOBAL", "LOAD_NAME")}
    return names.union(*(_names(each) for each in code.co_consts if isinstance(each, CodeType)))

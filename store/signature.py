"""Signature: what a script is called with, read from the parameters of the function that declares it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

import msgspec

from threelane.store.keys import Key


@dataclass(frozen=True, slots=True)
class Signature:
    """What a script is called with: single keys, lists of keys of the same length, and the rest."""

    keys: tuple[str, ...]
    lists: tuple[str, ...]
    arguments: tuple[str, ...]
    items: Mapping[str, tuple[str, ...]]  # type of one of a list of arguments -> its values, in order

    @classmethod
    def read(cls, function: Callable[..., Any]) -> Signature:
        """Return that of a function whose parameters are all given by name; keys are those of a type of keys.py."""
        hints = get_type_hints(function)
        keys, lists, arguments, items = [], [], [], {}
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind is not parameter.KEYWORD_ONLY:
                raise TypeError(f"{function.__qualname__}: {parameter.name} is to be given by name")
            hint = hints[parameter.name]
            inner: Any = next(iter(get_args(hint)), None)
            if _is_key(hint):
                keys.append(parameter.name)
            elif _is_key(inner):
                lists.append(parameter.name)
            else:
                arguments.append(parameter.name)
                if values := _values(inner):
                    items[inner.__name__] = values
        return cls(tuple(keys), tuple(lists), tuple(arguments), items)


def _is_key(hint: Any) -> bool:
    return getattr(hint, "__module__", "") == Key.__module__ and hasattr(hint, "__supertype__")


def _values(item: Any) -> tuple[str, ...]:
    """Return the names of the values of a tuple, or of a struct that is encoded as one."""
    if isinstance(item, type) and issubclass(item, msgspec.Struct):
        return item.__struct_fields__
    return getattr(item, "_fields", ())

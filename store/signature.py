"""Signature: the parameters of a script, read from the function that declares it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_type_hints

import msgspec

from threelane.store.keys import Key


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters of a script: single keys, lists of keys of the same length, and arguments."""

    keys: tuple[str, ...]
    lists: tuple[str, ...]
    arguments: tuple[str, ...]
    items: Mapping[str, tuple[str, ...]]  # item type of a list argument -> names of its values, in order

    @classmethod
    def read(cls, function: Callable[..., Any]) -> Signature:
        """Return the signature of a function with keyword-only parameters; key types are those of keys.py."""
        hints = get_type_hints(function)
        keys, lists, arguments, items = [], [], [], {}
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind is not parameter.KEYWORD_ONLY:
                raise TypeError(f"{function.__qualname__}: {parameter.name} must be keyword-only")
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
    """Return the field names of a named tuple, or of a struct that is encoded as an array."""
    if isinstance(item, type) and issubclass(item, msgspec.Struct):
        return item.__struct_fields__
    return getattr(item, "_fields", ())

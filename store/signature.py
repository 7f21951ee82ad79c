"""Signature: the parameters of a script, read from the function that declares it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args, get_origin, get_type_hints

import msgspec

from threelane.store.keys import Key


@dataclass(frozen=True, slots=True)
class Signature:
    """The parameters of a script: single keys, lists of keys, and arguments.

    Lists of keys are sequences of the same length; a tuple of keys has a length of its own, and a script has one at
    most.
    """

    keys: tuple[str, ...]
    lists: tuple[str, ...]
    last: str  # the tuple of keys, or ""
    arguments: tuple[str, ...]
    items: Mapping[str, tuple[str, ...]]  # item type of a list argument -> names of its values, in order

    @property
    def last_count(self) -> str:
        """The expression for the number of the keys of ``last``, which follows the arguments."""
        return f"ARGS[{len(self.arguments) + 1}]"

    @classmethod
    def read(cls, function: Callable[..., Any]) -> Signature:
        """Return the signature of a function with keyword-only parameters; key types are those of keys.py."""
        hints = get_type_hints(function)
        keys, lists, last, arguments, items = [], [], [], [], {}
        for parameter in inspect.signature(function).parameters.values():
            if parameter.kind is not parameter.KEYWORD_ONLY:
                raise TypeError(f"{function.__qualname__}: {parameter.name} must be keyword-only")
            hint = hints[parameter.name]
            inner: Any = next(iter(get_args(hint)), None)
            if _is_key(hint):
                keys.append(parameter.name)
            elif _is_key(inner) and get_origin(hint) is tuple:
                last.append(parameter.name)
            elif _is_key(inner):
                lists.append(parameter.name)
            else:
                arguments.append(parameter.name)
                if values := _values(inner):
                    items[inner.__name__] = values
        if len(last) > 1:
            raise TypeError(f"{function.__qualname__}: one of {', '.join(last)} may be a tuple of keys")
        return cls(tuple(keys), tuple(lists), "".join(last), tuple(arguments), items)


def _is_key(hint: Any) -> bool:
    return getattr(hint, "__module__", "") == Key.__module__ and hasattr(hint, "__supertype__")


def _values(item: Any) -> tuple[str, ...]:
    """Return the field names of a named tuple, or of a struct that is encoded as an array."""
    if isinstance(item, type) and issubclass(item, msgspec.Struct):
        return item.__struct_fields__
    return getattr(item, "_fields", ())

"""Account keys: the settings that an account of the accounts file may have; a mark on each field decides.

``PerAccount`` falls back to the environment.  ``OwnOfAccount`` does not: what an account is, and its money, never come
from the account of the environment.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar, get_args

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo
    from pydantic_settings import BaseSettings

V = TypeVar("V")


class AccountKey(Enum):
    """Where the value of a setting comes from if the account of a file does not have it."""

    ENVIRONMENT = "environment"
    DEFAULT = "default"


PerAccount = Annotated[V, AccountKey.ENVIRONMENT]
OwnOfAccount = Annotated[V, AccountKey.DEFAULT]


class Needs(NamedTuple):
    """A mark on a setting that has no meaning without another one."""

    setting: str


class Key(NamedTuple):
    """A setting of an account: ``name`` in the file, with ``_file`` if it is secret."""

    setting: str
    source: AccountKey
    is_secret: bool
    is_switch: bool
    is_path: bool
    default: Any
    description: str
    needs: str  # the setting without which it has no meaning, or ""

    @property
    def name(self) -> str:
        """The key in the file."""
        return f"{self.setting}_file" if self.is_secret else self.setting


def account_keys(kinds: Iterable[type[BaseSettings]]) -> dict[str, Key]:
    """Return the settings of these classes that an account may have, by the name of the setting."""
    return {key.setting: key for kind in kinds for key in _keys(kind)}


def other_settings(kinds: Iterable[type[BaseSettings]]) -> frozenset[str]:
    """Return the settings that are the same for all accounts."""
    kinds = [*kinds]
    return frozenset(name for kind in kinds for name in kind.model_fields) - account_keys(kinds).keys()


def setting_needed(field: FieldInfo) -> str:
    """Return the setting that a field needs, or ""."""
    return next((one.setting for one in field.metadata if isinstance(one, Needs)), "")


def _keys(kind: type[BaseSettings]) -> Iterable[Key]:
    from pathlib import Path

    from pydantic import SecretStr

    for name, field in kind.model_fields.items():
        marks = [one for one in field.metadata if isinstance(one, AccountKey)]
        types = (field.annotation, *get_args(field.annotation))
        for source in marks[:1]:
            default = field.get_default(call_default_factory=True)
            flags = (SecretStr in types, bool in types, Path in types)
            yield Key(name, source, *flags, default, field.description or "", setting_needed(field))

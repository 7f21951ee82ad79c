"""Gateways: what the folder of a gateway declares of it, and the register that finds these folders.

Each folder below ``threelane/gateways`` has a ``GATEWAY`` in its ``__init__.py``: a `Declaration`.  Reading it loads no
more than this module, so a caller that only sends stays light: whatever is heavy is named as "module:name", and loaded
by the process that uses it.  docs/adding-a-gateway.md explains how to add a folder.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import Any, NamedTuple

FOLDERS = "threelane.gateways"
OURS = "(by us)"  # done before a request leaves, so it works on every API
NEVER = ""  # the API lacks it: refused at accept

# fmt: off
FEATURES = (  # what a message can ask for, by our names
    "to", "text", "sender", "client_message_id", "max_message_parts", "lane", "callback", "validity_period",
    "deliver_at", "at_gateway", "unicode", "udh", "binary", "flash", "max_credits", "escalate", "mo",
    "required_features", "bypass_dnc", "channel",
)
ABILITIES = (  # what an API can do for an account
    "look up by our id", "charge", "balance", "cancel", "coverage", "voucher", "session", "many a request",
)
# fmt: on
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_PATH = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_REFERENCE = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*")


class InvalidGateway(Exception):
    """A gateway's folder lacks a part, or a part is not what it should be; the text is one sentence."""


@dataclass(frozen=True, slots=True)
class Credential:
    """One value that an account needs: the setting ``name``, so THREELANE_<NAME>; with _FILE besides if secret."""

    name: str
    description: str
    secret: bool = True
    shown: bool = True
    """False: logs have no more than its beginning, since a key may stand in its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """All that the rest of the product has to know of a gateway; parts are named as "module:name"."""

    name: str
    """What THREELANE_GATEWAY chooses it by; also a metric label."""
    title: str
    address: str
    """Where its API is, unless THREELANE_GATEWAY_URL is set."""
    parameters: Mapping[str, str]
    """A feature of a message -> the API's parameter, or OURS; what is absent is refused at accept."""
    abilities: Mapping[str, str] = field(default_factory=dict)
    """An ability of an account -> the API's command; what is absent it cannot do."""
    credentials: tuple[Credential, ...] = ()
    account: tuple[str, ...] = ()
    """The credentials by which logs name the account, none of them secret."""
    sender: str
    """A function that returns the gateway, from AccountSettings and a Redis client or None."""
    codes: str
    """The table of what its codes mean."""
    family: str
    """The section of an operator's policy file that changes this table."""
    statuses: str = ""
    """A function from a status that is no legacy number to the state it means, or None."""
    callbacks: Mapping[str, str] = field(default_factory=dict)
    """The last part of a callback's path -> the reader of what comes there, from its query and its body."""
    sandbox: str = ""
    """Its double, which the sandbox serves beside the others."""

    def parameter(self, feature: str) -> str:
        """Return the API's parameter of a feature, or command of an ability; OURS; or NEVER."""
        return self.parameters.get(feature) or self.abilities.get(feature, NEVER)


class Register(NamedTuple):
    """The gateways that are declared soundly, and a sentence for everything that is wrong with the others."""

    gateways: Mapping[str, Declaration]
    problems: tuple[str, ...]


@cache
def register() -> Register:
    """Look into every folder, once a process."""
    found: dict[str, Declaration] = {}
    folders: dict[str, str] = {}
    problems: list[str] = []
    for folder in _folders():
        declaration = _declaration(folder)
        if isinstance(declaration, str):
            problems.append(f"gateways/{folder}: {declaration}")
            continue
        flaws = [*_flaws(declaration)] or [*_conflicts(declaration, found, folders)]
        problems += [f"gateways/{folder}: {flaw}" for flaw in flaws]
        if not flaws:
            found[declaration.name] = declaration
            folders[declaration.name] = folder
    return Register(MappingProxyType(found), tuple(problems))


def declared() -> Mapping[str, Declaration]:
    """Return the gateways that are declared soundly, by name."""
    return register().gateways


def named(name: str) -> Declaration:
    """Return a gateway by its name; raises InvalidGateway."""
    try:
        return declared()[name]
    except KeyError:
        raise InvalidGateway(f"no gateway is called {name!r}; there are {', '.join(declared())}") from None


def resolve(gateway: Declaration, part: str, reference: str, is_right: Callable[[Any], bool] = callable) -> Any:
    """Load a part of a gateway; raises InvalidGateway, whatever loading it raises."""
    module, _, name = reference.partition(":")
    try:
        found = getattr(import_module(module), name)
    except Exception as failed:
        raise InvalidGateway(
            f"gateway {gateway.name}: its {part}, {reference}, cannot be loaded: {_reason(failed)}"
        ) from None
    if not is_right(found):
        raise InvalidGateway(f"gateway {gateway.name}: its {part}, {reference}, cannot be a {type(found).__name__}")
    return found


def credentials() -> Iterator[tuple[Credential, tuple[str, ...]]]:
    """Yield each credential once, with the names of the gateways that need it."""
    needed: dict[Credential, list[str]] = {}
    for name, gateway in declared().items():
        for credential in gateway.credentials:
            needed.setdefault(credential, []).append(name)
    yield from ((credential, tuple(names)) for credential, names in needed.items())


def simulators() -> list[str]:
    """Return the parts that the sandbox is to serve, each once."""
    return list(dict.fromkeys(one.sandbox for one in declared().values() if one.sandbox))


def _folders() -> list[str]:
    package = import_module(FOLDERS)
    return sorted(one.name for one in pkgutil.iter_modules(package.__path__) if one.ispkg)


def _declaration(folder: str) -> Declaration | str:
    """Return what a folder declares, or why it declares nothing."""
    try:
        package = import_module(f"{FOLDERS}.{folder}")
    except Exception as failed:  # whatever it is, other gateways go on to be found
        return f"its __init__.py cannot be loaded: {_reason(failed)}"
    found = getattr(package, "GATEWAY", None)
    if found is None:
        return "its __init__.py has no GATEWAY"
    return found if isinstance(found, Declaration) else f"GATEWAY is a {type(found).__name__}, and no Declaration"


def _flaws(one: Declaration) -> Iterator[str]:
    """Yield what is wrong with a declaration by itself."""
    texts = ("name", "title", "address", "sender", "codes", "family", "statuses", "sandbox")
    wrong = [name for name in texts if not isinstance(getattr(one, name), str)]
    wrong += [name for name in ("parameters", "abilities", "callbacks") if not _is_of_texts(getattr(one, name))]
    if not isinstance(one.credentials, tuple) or not all(isinstance(each, Credential) for each in one.credentials):
        wrong.append("credentials")
    if wrong:
        yield f"{wrong[0]} has the wrong type"
        return
    for what, value, shape in (("name", one.name, _NAME), ("family", one.family, _NAME)):
        if not shape.fullmatch(value):
            yield f"{what} {value!r} is not of small letters, digits and underscores"
    references = {"sender": one.sender, "codes": one.codes, "statuses": one.statuses, "sandbox": one.sandbox}
    for part, reference in (references | dict(one.callbacks)).items():
        if not _REFERENCE.fullmatch(reference) and (reference or part not in ("statuses", "sandbox")):
            yield f"{part} {reference!r} is not of the form module:name"
    yield from (f"its parameters lack {name!r}" for name in ("to", "text") if not one.parameter(name))
    yield from (f"{name!r} is no feature" for name in one.parameters if name not in FEATURES)
    yield from (f"{name!r} is no ability" for name in one.abilities if name not in ABILITIES)
    yield from (f"the path {path!r} of its callbacks is wrong" for path in one.callbacks if not _PATH.fullmatch(path))
    public = {each.name for each in one.credentials if not each.secret}
    yield from (f"account names {name!r}, which is no open credential" for name in one.account if name not in public)
    for each in one.credentials:
        if not _NAME.fullmatch(each.name) or not each.name.startswith((f"{one.name}_", "clickatell_")):
            yield f"the credential {each.name!r} has to begin with {one.name}_, so that it is no other setting"


def _conflicts(one: Declaration, others: Mapping[str, Declaration], folders: Mapping[str, str]) -> Iterator[str]:
    """Yield what cannot be, beside the gateways that were found before."""
    if one.name in others:
        yield f"the name {one.name!r} is that of gateways/{folders[one.name]}"
    for name, other in others.items():
        known = {each.name: each for each in other.credentials}
        for each in one.credentials:
            if known.get(each.name, each) != each:
                yield f"the credential {each.name} is another one in gateways/{folders[name]}"
        for path, reader in one.callbacks.items():
            if other.callbacks.get(path, reader) != reader:
                yield f"the path {path!r} has another reader in gateways/{folders[name]}"


def _is_of_texts(found: Any) -> bool:
    return isinstance(found, Mapping) and all(isinstance(one, str) for pair in found.items() for one in pair)


def _reason(failed: Exception) -> str:
    """Return what went wrong on one line."""
    return " ".join(f"{type(failed).__name__}: {failed}".split())[:200]

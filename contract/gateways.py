"""Gateways: the declaration of a gateway, and the register of all declarations.

Each folder below ``threelane/gateways`` has a ``GATEWAY`` in its ``__init__.py``: a `Declaration`.  A declaration
imports only this module, so a producer loads little: it names the heavy parts as "module:name", and the process that
uses a part imports it.  docs/adding-a-gateway.md explains how to add a folder.
"""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

FOLDERS = "threelane.gateways"
SHIPPED = ("http", "one", "platform", "rest", "xml")
"""The folders that are read first, so that a conflict is reported for the one that was added."""
OURS = "(by us)"  # done by Threelane before the request, so it works on every API
NEVER = ""  # the API lacks it: refused at accept

# fmt: off
FEATURES = (  # of a message, by Threelane's names
    "to", "text", "sender", "client_message_id", "max_message_parts", "lane", "callback", "validity_period",
    "deliver_at", "at_gateway", "unicode", "udh", "binary", "flash", "old_type", "message_class", "handset_receipt",
    "max_credits", "escalate", "mo", "required_features", "bypass_dnc", "channel",
)
ABILITIES = (  # of an API, for an account
    "look up by our id", "charge", "balance", "cancel", "cancel by our id", "coverage", "voucher", "session",
    "many a request",
)
# fmt: on
_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
_PATH = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_REFERENCE = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*:[A-Za-z_][A-Za-z0-9_]*")


class InvalidGateway(Exception):
    """A gateway's folder lacks a part, or a part is invalid; the text is one sentence."""


@dataclass(frozen=True, slots=True)
class Credential:
    """One credential of an account: the setting THREELANE_<NAME>, and THREELANE_<NAME>_FILE if it is secret."""

    name: str
    description: str
    secret: bool = True
    shown: bool = True
    """False: logs show only its first characters, since users may paste a key here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What the rest of the product knows about a gateway; parts are named as "module:name"."""

    name: str
    """The value of THREELANE_GATEWAY; also a metric label."""
    title: str
    address: str
    """The URL of its API, unless THREELANE_GATEWAY_URL is set."""
    parameters: Mapping[str, str]
    """A feature of a message -> the API's parameter, or OURS; an absent feature is refused at accept."""
    abilities: Mapping[str, str] = field(default_factory=dict)
    """An ability -> the API's command; the API lacks an absent ability."""
    credentials: tuple[Credential, ...] = ()
    account: tuple[str, ...] = ()
    """The credentials that identify the account in logs, none of them secret."""
    sender: str
    """A function that returns the gateway, from AccountSettings and a Redis client or None."""
    codes: str
    """The table of its error codes."""
    family: str
    """The section of an operator's policy file that changes this table."""
    statuses: str = ""
    """A function from a status other than a legacy number to a state, or None."""
    callbacks: Mapping[str, str] = field(default_factory=dict)
    """The last segment of a callback's path -> the parser of its query and body."""
    has_charset: bool = False
    """Its texts are sent in the charset of THREELANE_GATEWAY_CHARSET."""
    sandbox: str = ""
    """Its simulated gateway, which the sandbox serves with the others."""

    def parameter(self, feature: str) -> str:
        """Return the API's parameter for a feature, or its command for an ability; OURS; or NEVER."""
        return self.parameters.get(feature) or self.abilities.get(feature, NEVER)


class Register(NamedTuple):
    """The valid declarations, and a sentence for each problem of the others."""

    gateways: Mapping[str, Declaration]
    problems: tuple[str, ...]


@cache
def register() -> Register:
    """Read every folder, once per process."""
    valid: dict[str, Declaration] = {}
    folders: dict[str, str] = {}
    problems: list[str] = []
    for folder in _folders():
        declaration = _declaration(folder)
        if isinstance(declaration, str):
            problems.append(f"gateways/{folder}: {declaration}")
            continue
        flaws = [*_flaws(declaration)] or [*_conflicts(declaration, valid, folders)]
        problems += [f"gateways/{folder}: {flaw}" for flaw in flaws]
        if not flaws:
            valid[declaration.name] = declaration
            folders[declaration.name] = folder
    return Register(MappingProxyType(dict(sorted(valid.items()))), tuple(problems))


def declared() -> Mapping[str, Declaration]:
    """Return the valid declarations, by name."""
    return register().gateways


def named(name: str) -> Declaration:
    """Return a gateway by its name; raises InvalidGateway."""
    try:
        return declared()[name]
    except KeyError:
        raise InvalidGateway(f"unknown gateway {name!r}: choose one of {', '.join(declared())}") from None


def resolve(gateway: Declaration, part: str, reference: str, is_right: Callable[[Any], bool] = callable) -> Any:
    """Import a part of a gateway; raises InvalidGateway for any error of the import."""
    module, _, name = reference.partition(":")
    try:
        found = getattr(import_module(module), name)
    except KeyboardInterrupt:
        raise
    except BaseException as failed:  # sys.exit, too: it would end the command silently
        raise InvalidGateway(
            f"gateway {gateway.name}: its {part}, {reference}, cannot be loaded: {reason(failed)}"
        ) from None
    if not is_right(found):
        raise InvalidGateway(f"gateway {gateway.name}: its {part}, {reference}, is a {type(found).__name__}")
    return found


def credentials() -> Iterator[tuple[Credential, tuple[str, ...]]]:
    """Yield each credential once, with the names of the gateways that use it."""
    needed: dict[Credential, list[str]] = {}
    for name, gateway in declared().items():
        for credential in gateway.credentials:
            needed.setdefault(credential, []).append(name)
    yield from ((credential, tuple(names)) for credential, names in needed.items())


def simulators() -> list[str]:
    """Return the simulated gateways that the sandbox serves, each once."""
    return list(dict.fromkeys(one.sandbox for one in declared().values() if one.sandbox))


def _folders() -> list[str]:
    package = import_module(FOLDERS)
    found = {one.name for one in pkgutil.iter_modules(package.__path__) if one.ispkg}
    paths = (path for path in map(Path, package.__path__) if path.is_dir())
    found.update(one.name for path in paths for one in path.iterdir() if _lacks_init(one))
    return sorted(found, key=lambda folder: (folder not in SHIPPED, folder))


def _lacks_init(path: Path) -> bool:
    """Return whether this is the folder of a gateway without its __init__.py."""
    if not path.is_dir() or path.name.startswith((".", "__")) or any(path.glob("__init__.*")):
        return False
    return [one.name for one in path.iterdir()] != ["__pycache__"]  # which remains of a folder that was removed


def _declaration(folder: str) -> Declaration | str:
    """Return the declaration of a folder, or why there is none."""
    try:
        package = import_module(f"{FOLDERS}.{folder}")
    except KeyboardInterrupt:
        raise
    except BaseException as failed:  # one broken folder must not hide the others, nor end the command by sys.exit
        return f"its __init__.py cannot be loaded: {reason(failed)}"
    if package.__file__ is None:
        return "it has no __init__.py"
    found = getattr(package, "GATEWAY", None)
    if found is None:
        return "its __init__.py has no GATEWAY"
    return found if isinstance(found, Declaration) else f"GATEWAY is a {type(found).__name__}, not a Declaration"


def _flaws(one: Declaration) -> Iterator[str]:
    """Yield the problems of a single declaration."""
    texts = ("name", "title", "address", "sender", "codes", "family", "statuses", "sandbox")
    wrong = [name for name in texts if not isinstance(getattr(one, name), str)]
    wrong += [name for name in ("parameters", "abilities", "callbacks") if not _is_of_texts(getattr(one, name))]
    if not isinstance(one.credentials, tuple) or not all(_is_a_credential(each) for each in one.credentials):
        wrong.append("credentials")
    if not isinstance(one.account, tuple) or not all(isinstance(each, str) for each in one.account):
        wrong.append("account")
    if wrong:
        yield f"{wrong[0]} has the wrong type"
        return
    for what, value, shape in (("name", one.name, _NAME), ("family", one.family, _NAME)):
        if not shape.fullmatch(value):
            yield f"{what} {value!r} may only have lower-case letters, digits and _"
    if not is_http_url(one.address):
        yield f"address {one.address!r} must be an http:// or https:// URL with a host"
    references = {"sender": one.sender, "codes": one.codes, "statuses": one.statuses, "sandbox": one.sandbox}
    for part, reference in (references | dict(one.callbacks)).items():
        if not _REFERENCE.fullmatch(reference) and (reference or part not in ("statuses", "sandbox")):
            yield f"{part} {reference!r} must have the form module:name"
    yield from (f"its parameters lack {name!r}" for name in ("to", "text") if not one.parameter(name))
    yield from (f"unknown feature {name!r}" for name in one.parameters if name not in FEATURES)
    yield from (f"unknown ability {name!r}" for name in one.abilities if name not in ABILITIES)
    yield from (f"invalid callback path {path!r}" for path in one.callbacks if not _PATH.fullmatch(path))
    public = {each.name for each in one.credentials if not each.secret}
    yield from (
        f"account names {name!r}, which is not a public credential" for name in one.account if name not in public
    )
    for each in one.credentials:
        if not _NAME.fullmatch(each.name) or not each.name.startswith((f"{one.name}_", "clickatell_")):
            yield f"the credential {each.name!r} must start with {one.name}_"


def _conflicts(one: Declaration, others: dict[str, Declaration], folders: Mapping[str, str]) -> Iterator[str]:
    """Yield the conflicts with gateways that were read before."""
    if one.name in others:
        yield f"the name {one.name!r} is already used by gateways/{folders[one.name]}"
    known = {each.name: (each, folders[name]) for name, other in reversed(others.items()) for each in other.credentials}
    for each in one.credentials:
        credential, folder = known.get(each.name, (each, ""))
        if credential != each:
            yield f"the credential {each.name} is declared differently in gateways/{folder}"
    readers = {
        path: (reader, folders[name])
        for name, other in reversed(others.items())
        for path, reader in other.callbacks.items()
    }
    for path, reader in one.callbacks.items():
        other_reader, folder = readers.get(path, (reader, ""))
        if other_reader != reader:
            yield f"the path {path!r} has another reader in gateways/{folder}"


def is_http_url(text: str) -> bool:
    """Return whether this is an http:// or https:// URL with a host."""
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and text.isprintable()
    except ValueError:  # of the port, or of an IPv6 address
        return False


def _is_a_credential(found: Any) -> bool:
    if not isinstance(found, Credential):
        return False
    texts, flags = (found.name, found.description), (found.secret, found.shown)
    return all(isinstance(one, str) for one in texts) and all(isinstance(one, bool) for one in flags)


def _is_of_texts(found: Any) -> bool:
    return isinstance(found, Mapping) and all(isinstance(one, str) for pair in found.items() for one in pair)


def reason(failed: BaseException) -> str:
    """Return the error on one line."""
    return " ".join(f"{type(failed).__name__}: {failed}".split())[:200]

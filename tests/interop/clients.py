"""The published clients of Clickatell's APIs, at fixed versions: how each is installed, changed and driven."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

NPM, PYPI = "npm", "PyPI"

STEPS: Mapping[str, str] = MappingProxyType(
    {
        "one": "send one message",
        "many": "send to two recipients in one call",
        "unicode": "send Cyrillic, Chinese and an emoji, as the API documents it: hexadecimal on the older APIs",
        "plain": "send Cyrillic letters and an ampersand without encoding them, on the older APIs",
        "scheduled": "send in an hour",
        "refused": "send to a number that opted out",
        "query": "query the status",
        "balance": "read the balance",
        "batch": "send a template to two recipients",
    }
)


class Patch(NamedTuple):
    """One line of an installed client that is replaced, so that it reaches the sandbox or runs at all."""

    file: str  # below the folder of the installed packages
    old: str
    new: str
    why: str = ""  # other than to reach the sandbox


class Difference(NamedTuple):
    """What a step comes out as when that is not what its caller meant, because of the client."""

    seen: str  # part of what the run prints
    reason: str


@dataclass(frozen=True, slots=True)
class Client:
    """One API of one client."""

    name: str
    version: str
    registry: str
    api: str
    driver: str
    """The script that calls it, below ``drivers``."""
    steps: tuple[str, ...]
    """What it has calls for."""
    changed: str
    """How it is pointed at the sandbox, besides the patches."""
    patches: tuple[Patch, ...] = ()
    differs: Mapping[str, Difference] = field(default_factory=dict)
    """The steps that do not come out as their caller meant them."""

    @property
    def title(self) -> str:
        """Name of the client with its API, unique in the list."""
        return f"{self.name} {self.version} ({self.registry}), {self.api}"


_NODE_HOST = "process.env.SANDBOX_HOST"
_NO_HTTPS = Patch("clickatell/__init__.py", "url = 'https://' + self.endpoint", "url = 'http://' + self.endpoint")
_NO_PYTHON_LIST = Patch(
    "clickatell/http/__init__.py",
    "data = {'to': to, 'content': message}",
    "data = {'to': ','.join(to), 'content': message}",
    "otherwise the recipients are sent as a Python list, `['27820000001']`, and refused with 105",
)
_PYTHON_2 = "otherwise the client runs on Python 2 only"
_PYTHON_3 = (
    Patch("smsframework_clickatell/api.py", "post = urlencode(data)", "post = urlencode(data).encode()", _PYTHON_2),
    Patch("smsframework_clickatell/api.py", "return res.read()", "return res.read().decode()", _PYTHON_2),
)
_ALL_STEPS = ("one", "many", "unicode", "plain", "scheduled", "refused", "query", "balance")
_READS_STATUS = Difference(
    "'ok': True",
    "reported as sent: the client reads the HTTP status only, and a refused entry is in a response of 200",
)
_GARBLES = Difference(
    "Fish & chips, ??Ñ",
    "garbled: the client sends UTF-8 and names no charset, and the HTTP API then reads Windows-1252",
)
_QUESTION_MARKS = Difference(
    "Fish & chips, ??????", "question marks: without `unicode`, Central REST sends the GSM alphabet only"
)
_DOES_NOT_ESCAPE = Difference(
    "ERR_UNESCAPED_CHARACTERS", "fails: the client puts the text into the URL without escaping it, so its caller has to"
)
_PLUS_FOR_SPACE = Difference("+", "arrives with `+` for each space: the client writes `+`, and then escapes it")
_COMMAS = Difference(
    "accepted []", "refused with 105: the Platform's HTTP form takes one recipient, and the client sends a list"
)
_NODE_TRANSPORT = (
    Patch("clickatell-node/src/transport.js", "hostname: 'api.clickatell.com'", f"hostname: {_NODE_HOST}"),
    Patch("clickatell-node/src/transport.js", "port: 80,", "port: process.env.SANDBOX_PORT,"),
)

# fmt: off
CLIENTS = (
    Client("apprise", "2.3.0", PYPI, "Platform HTTP", "with_apprise.py",
        ("one", "many", "unicode", "refused"), "attribute notify_url",
        differs={"refused": _READS_STATUS}),
    Client("clickatell", "0.1.2", PYPI, "HTTP", "with_clickatell.py", _ALL_STEPS, "attribute endpoint",
        differs={"plain": _GARBLES}),
    Client("clickatell", "0.1.2", PYPI, "Central REST", "with_clickatell.py", _ALL_STEPS, "attribute endpoint",
        differs={"plain": _QUESTION_MARKS}),
    Client("clickatell-platform", "2.0.1", PYPI, "Platform REST", "with_clickatell_platform.py",
        ("one", "many", "unicode", "scheduled", "refused"), "attribute endpoint", (_NO_HTTPS,)),
    Client("clickatell-platform", "2.0.1", PYPI, "Platform HTTP", "with_clickatell_platform.py",
        ("one", "many", "unicode", "scheduled", "refused"), "attribute endpoint", (_NO_HTTPS, _NO_PYTHON_LIST),
        {"many": _COMMAS}),
    Client("homeassistant", "2024.3.3", PYPI, "Platform HTTP", "with_home_assistant.py",
        ("one", "unicode", "refused"), "constant BASE_API_URL", differs={"refused": _READS_STATUS}),
    Client("smsframework-clickatell", "0.0.3.post0", PYPI, "HTTP", "with_smsframework.py",
        ("one", "unicode", "scheduled", "refused", "balance"), "attribute _hostname", _PYTHON_3),
    Client("clickatell-platform", "2.0.11", NPM, "Platform REST", "clickatell_platform.js",
        ("one", "many", "unicode", "refused"), "", (
            Patch("clickatell-platform/api/rest.js",
                "url:'https://platform.clickatell.com/messages'", "url: process.env.SANDBOX_URL + '/messages'"),
        )),
    Client("clickatell-platform", "2.0.11", NPM, "Platform HTTP", "clickatell_platform.js",
        ("one", "many", "unicode", "refused"), "", (
            Patch("clickatell-platform/api/http.js", "url:'https://platform.clickatell.com/messages/http/send?apiKey='",
                "url: process.env.SANDBOX_URL + '/messages/http/send?apiKey='"),
        ), {"one": _PLUS_FOR_SPACE, "many": _COMMAS, "unicode": _PLUS_FOR_SPACE}),
    Client("clickatell-node", "0.0.4", NPM, "HTTP", "clickatell_node.js", _ALL_STEPS, "", _NODE_TRANSPORT,
        differs={"plain": _GARBLES}),
    Client("clickatell-node", "0.0.4", NPM, "Central REST", "clickatell_node.js", _ALL_STEPS, "", _NODE_TRANSPORT,
        differs={"plain": _QUESTION_MARKS}),
    Client("node-clickatell", "0.0.5", NPM, "HTTP", "node_clickatell.js",
        ("one", "many", "plain", "refused"), "option api_message_url",
        differs={"plain": _DOES_NOT_ESCAPE}),
    Client("clickatell-api", "0.0.2", NPM, "HTTP", "clickatell_api.js", (*_ALL_STEPS, "batch"), "", (
            Patch("clickatell-api/lib/http.js", "host: 'api.clickatell.com',",
                f"host: {_NODE_HOST}, port: process.env.SANDBOX_PORT,"),
        ), {"plain": _GARBLES}),
)
# fmt: on

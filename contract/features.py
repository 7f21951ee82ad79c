"""Features: what each of Clickatell's APIs can say, what it cannot, and what we do ourselves.

Sources: the HTTP API guide, the REST API's table of features, the XML specification, the One API's message page.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from operator import attrgetter
from typing import NamedTuple

from threelane.contract.message import Message
from threelane.contract.phone import Msisdn
from threelane.contract.refusal import Code, Owner, Refusal
from threelane.contract.text import Encoding


class Api(StrEnum):
    """The four APIs."""

    HTTP = "http"
    REST = "rest"
    XML = "xml"
    ONE = "one"


OURS = "(by us)"  # done before the gateway is asked, so it works on every API
NEVER = ""  # the API lacks it: refused at accept


class Feature(NamedTuple):
    """One thing a message can ask for, and the parameter that carries it on each API."""

    name: str  # our field
    http: str
    rest: str
    xml: str
    one: str

    def on(self, api: Api) -> str:
        """Return the API's parameter, OURS, or NEVER."""
        parameter: str = getattr(self, api.value)
        return parameter


# fmt: off
FEATURES = (
    Feature("to",                "to",          "to",                "to",          "to"),
    Feature("text",              "text",        "text",              "text",        "content"),
    Feature("sender",            "from",        "from",              "from",        "from"),
    Feature("client_message_id", "climsgid",    "clientMessageId",   "cliMsgId",    "clientMessageId"),
    Feature("max_message_parts", "concat",      "maxMessageParts",   "concat",      OURS),
    Feature("lane",              "queue",       "userPriorityQueue", "queue",       OURS),
    Feature("callback",          "callback",    "callback",          "callback",    OURS),
    Feature("validity_period",   "validity",    "validityPeriod",    "validity",    "validityPeriod"),
    Feature("deliver_at",        OURS,          OURS,                OURS,          OURS),
    Feature("at_gateway",        "scheduled_time", "scheduledDeliveryTime", "deliv_time", "scheduledDeliveryTime"),
    Feature("unicode",           "unicode",     "unicode",           "unicode",     "content"),
    Feature("udh",               "udh",         "udh",               "udh",         "userDataHeader"),
    Feature("binary",            "binary",      "binary",            "binary",      "binary"),
    Feature("flash",             "msg_type",    "type",              "msg_type",    NEVER),
    Feature("max_credits",       "max_credits", "maxCredits",        "max_credits", NEVER),
    Feature("escalate",          "escalate",    "escalate",          "escalate",    NEVER),
    Feature("mo",                "mo",          "mo",                "mo",          NEVER),
    Feature("required_features", "req_feat",    "requiredFeatures",  "req_feat",    NEVER),
    Feature("bypass_dnc",        NEVER,         "bypassDNCCheck",    NEVER,         NEVER),
    Feature("channel",           NEVER,         NEVER,               NEVER,         "channel"),
)
# What an account can be asked.
ABILITIES = (
    Feature("look up by our id", "querymsg",      "GET message",     "queryMsg",      NEVER),
    Feature("charge",            "getmsgcharge",  "GET message",     "getMsgCharge",  NEVER),
    Feature("balance",           "getbalance",    "account/balance", "getBalance",    "balance"),
    Feature("cancel",            "delmsg",        "DELETE message",  "delMsg",        NEVER),
    Feature("coverage",          "routeCoverage", "coverage",        "routeCoverage", NEVER),
    Feature("voucher",           "token_pay",     NEVER,             NEVER,           NEVER),
    Feature("session",           "auth, ping",    NEVER,             "auth, ping",    NEVER),
    Feature("many a request",    NEVER,           NEVER,             "sendMsg",       "messages"),
)
# fmt: on


def able(name: str, api: Api) -> bool:
    """Tell whether an account on an API can be asked for something."""
    return any(ability.name == name and ability.on(api) != NEVER for ability in ABILITIES)


def tells_charge(api: Api) -> bool:
    """Tell whether an API says what a message cost; if not, its estimate has to do."""
    return next(one for one in ABILITIES if one.name == "charge").on(api) != NEVER


def asked(message: Message) -> Collection[str]:
    """Return the features beyond a plain text that a message asks for."""
    said, is_binary = _said(message), message.encoding is Encoding.BINARY
    if said == _UNSAID and not is_binary:  # as nearly all
        return ()
    wanted = {name for name, value, unsaid in zip(_SAYING, said, _UNSAID, strict=True) if value != unsaid}
    return wanted | {"binary"} if is_binary else wanted


_SAYING = ("flash", "max_credits", "escalate", "mo", "required_features", "udh", "bypass_dnc", "channel")
_said = attrgetter(*_SAYING)
_UNSAID = _said(Message(id="", to=Msisdn(""), expires_at=0))


def refuse(message: Message, api: Api) -> Refusal | None:
    """Refuse what the API cannot carry and what would change the message if it were left out."""
    wanted = asked(message)
    if not wanted:
        return None
    for feature in FEATURES:
        if feature.name in wanted and feature.on(api) == NEVER:
            able = [other.value for other in Api if feature.on(other) != NEVER]
            return Refusal(
                code=Code.INVALID,
                field="type" if feature.name == "flash" else feature.name,
                problem=f"the API that this account uses ({api}) has no {feature.name.replace('_', ' ')}",
                remedy=f"leave it out, or use an account of the API {' or '.join(able)}",
                owner=Owner.PRODUCER,
            )
    return None

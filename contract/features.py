"""Features: what a message can need besides plain text, and the refusal for an API without it.

The declaration of each gateway names the API's parameter for each feature.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple

from threelane.contract.gateways import FEATURES, NEVER, declared, named
from threelane.contract.message import Message
from threelane.contract.phone import Msisdn
from threelane.contract.refusal import Code, Owner, Refusal
from threelane.contract.text import GSM_7, Encoding

# Feature -> the attribute of a message; the message needs the feature if the attribute differs from its default.
_ATTRIBUTES = {
    **{name: name for name in ("sender", "callback", "at_gateway", "flash", "max_credits", "escalate", "mo")},
    **{name: name for name in ("required_features", "udh", "bypass_dnc", "channel")},
    **{name: name for name in ("old_type", "message_class", "handset_receipt")},
    "validity_period": "own_validity",
}
_ENCODED = {"unicode": Encoding.UCS_2, "binary": Encoding.BINARY}
_PLAIN = Message(id="", to=Msisdn(""), expires_at=0)


def able(ability: str, gateway: str) -> bool:
    """Return whether an API has an ability."""
    return named(gateway).abilities.get(ability, NEVER) != NEVER


def reports_charge(gateway: str) -> bool:
    """Return whether an API reports the cost of a message; otherwise the estimate is the charge."""
    return able("charge", gateway)


def refuse(message: Message, gateway: str, account: str = "this account") -> Refusal | None:
    """Refuse a message that needs a feature that the API of an account lacks."""
    lacks = _lacks(gateway)
    if lacks.values(message) == lacks.plain and (not lacks.encodings or message.encoding not in lacks.encodings):
        if message.encoding is Encoding.UCS_2 and lacks.chooses_encoding and GSM_7.issuperset(message.text):
            return _no_switch(gateway, account)
        return None  # the usual case
    feature = next(feature for feature in lacks.features if _needs(message, feature))
    carriers = [name for name, other in declared().items() if other.parameter(feature) != NEVER]
    return Refusal(
        code=Code.INVALID,
        field="type" if feature in ("flash", "old_type") else feature,
        problem=f"the API of {account} ({gateway}) has no {_in_words(message, feature)}",
        remedy=f"leave it out, or use an account of the API {' or '.join(carriers)}" if carriers else "leave it out",
        owner=Owner.PRODUCER,
    )


def _no_switch(gateway: str, account: str) -> Refusal:
    """Refuse unicode=1 where the API chooses the encoding: it would send the text in GSM-7, in fewer parts."""
    carriers = " or ".join(name for name in declared() if not _lacks(name).chooses_encoding)
    return Refusal(
        code=Code.INVALID,
        field="unicode",
        problem=f"the API of {account} ({gateway}) sends a text in GSM-7 if it can, whatever unicode is",
        remedy=f"leave it out, or use an account of the API {carriers}",
        owner=Owner.PRODUCER,
    )


def _in_words(message: Message, feature: str) -> str:
    return message.old_type if feature == "old_type" else feature.replace("_", " ")


class _Lacks(NamedTuple):
    """The features that an API lacks, and the values by which a message needs none of them."""

    features: tuple[str, ...]
    values: Callable[[Message], Any]
    plain: Any
    encodings: Collection[Encoding]
    chooses_encoding: bool  # the API, whatever ``unicode`` is


@cache
def _lacks(gateway: str) -> _Lacks:
    carried = named(gateway).parameters
    lacking = tuple(one for one in FEATURES if carried.get(one, NEVER) == NEVER and one in (*_ATTRIBUTES, *_ENCODED))
    names = [_ATTRIBUTES[one] for one in lacking if one in _ATTRIBUTES]
    values: Callable[[Message], Any] = attrgetter(*names) if names else lambda _message: ()
    encodings = [_ENCODED[one] for one in lacking if one in _ENCODED]
    chooses = carried.get("unicode", NEVER) == carried["text"]
    return _Lacks(lacking, values, values(_PLAIN), encodings, chooses)


def _needs(message: Message, feature: str) -> bool:
    if feature in _ENCODED:
        return message.encoding is _ENCODED[feature]
    return bool(getattr(message, _ATTRIBUTES[feature]) != getattr(_PLAIN, _ATTRIBUTES[feature]))

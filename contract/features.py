"""Features: what a message can need beyond a plain text, and the refusal where an API cannot carry it.

Which parameter carries it on which API stands in the declaration of each gateway.
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
from threelane.contract.text import Encoding

# A feature that a message needs when an attribute differs from its default -> that attribute.
_ATTRIBUTES = {
    **{name: name for name in ("sender", "callback", "at_gateway", "flash", "max_credits", "escalate", "mo")},
    **{name: name for name in ("required_features", "udh", "bypass_dnc", "channel")},
    "validity_period": "own_validity",
}
_ENCODED = {"unicode": Encoding.UCS_2, "binary": Encoding.BINARY}
_PLAIN = Message(id="", to=Msisdn(""), expires_at=0)


def able(ability: str, gateway: str) -> bool:
    """Return whether an API has an ability."""
    return named(gateway).abilities.get(ability, NEVER) != NEVER


def reports_charge(gateway: str) -> bool:
    """Return whether an API reports what a message cost; without it, the estimate stands."""
    return able("charge", gateway)


def refuse(message: Message, gateway: str) -> Refusal | None:
    """Refuse what the API cannot carry and what would change the message if it were left out."""
    lacks = _lacks(gateway)
    if lacks.values(message) == lacks.plain and (not lacks.encodings or message.encoding not in lacks.encodings):
        return None  # as nearly all
    feature = next(feature for feature in lacks.features if _needs(message, feature))
    able = [name for name, other in declared().items() if other.parameter(feature) != NEVER]
    return Refusal(
        code=Code.INVALID,
        field="type" if feature == "flash" else feature,
        problem=f"the API that this account uses ({gateway}) has no {feature.replace('_', ' ')}",
        remedy=f"leave it out, or use an account of the API {' or '.join(able)}" if able else "leave it out",
        owner=Owner.PRODUCER,
    )


class _Lacks(NamedTuple):
    """What an API cannot carry, and a quick way to see that a message needs none of it."""

    features: tuple[str, ...]
    values: Callable[[Message], Any]
    plain: Any
    encodings: Collection[Encoding]


@cache
def _lacks(gateway: str) -> _Lacks:
    carried = named(gateway).parameters
    lacking = tuple(one for one in FEATURES if carried.get(one, NEVER) == NEVER and one in (*_ATTRIBUTES, *_ENCODED))
    names = [_ATTRIBUTES[one] for one in lacking if one in _ATTRIBUTES]
    values: Callable[[Message], Any] = attrgetter(*names) if names else lambda _message: ()
    return _Lacks(lacking, values, values(_PLAIN), [_ENCODED[one] for one in lacking if one in _ENCODED])


def _needs(message: Message, feature: str) -> bool:
    if feature in _ENCODED:
        return message.encoding is _ENCODED[feature]
    return bool(getattr(message, _ATTRIBUTES[feature]) != getattr(_PLAIN, _ATTRIBUTES[feature]))

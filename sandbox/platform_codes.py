"""The Platform's names for statuses, its charsets, and its own words for a wrong key.

Only the status names of 003 and 004 are documented.  Code and words for a wrong key are those that a user of the
Platform published: https://github.com/phpservermon/phpservermon/issues/749.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from threelane.sandbox.codes import GatewayRefusal

WRONG_KEY: Final = GatewayRefusal("108", "Invalid or missing integration API Key.")
CHARSETS: Final[Mapping[str | None, str]] = MappingProxyType(
    {None: "utf-8", "UTF-8": "utf-8", "ASCII": "ascii", "Windows-1252": "cp1252", "UCS2-BE": "utf-16-be"}
)
"""A charset by the Platform's name -> Python's codec; the first is the default."""

# fmt: off
STATUSES: Final[dict[str, str]] = {
    "001": "MESSAGE_UNKNOWN",
    "002": "MESSAGE_QUEUED",
    "003": "DELIVERED_TO_GATEWAY",
    "004": "RECEIVED_BY_RECIPIENT",
    "005": "ERROR_WITH_MESSAGE",
    "006": "USER_CANCELLED_MESSAGE_DELIVERY",
    "007": "ERROR_DELIVERING_MESSAGE",
    "008": "MESSAGE_RECEIVED_BY_GATEWAY",
    "009": "ROUTING_ERROR",
    "010": "MESSAGE_EXPIRED",
    "011": "MESSAGE_QUEUED_FOR_LATER_DELIVERY",
    "012": "OUT_OF_CREDIT",
    "013": "CANCELLED_BY_STAFF",
    "014": "MAXIMUM_MT_LIMIT_EXCEEDED",
}
# fmt: on

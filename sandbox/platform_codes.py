"""The names of Platform REST for the gateway's statuses; only those of 003 and 004 are documented."""

from typing import Final

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

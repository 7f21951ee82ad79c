"""The gateway's error codes, message statuses and callback masks, as tables."""

from typing import Final, NamedTuple


class GatewayRefusal(NamedTuple):
    """Why a message or a request was refused, with the gateway's own code and text."""

    code: str
    text: str


# fmt: off
ERRORS: Final[dict[str, str]] = {
    "001": "Authentication failed",
    "002": "Unknown username or password",
    "003": "Session ID expired",
    "004": "Account frozen",
    "005": "Missing session ID",
    "007": "IP Lockdown violation",
    "100": "Data malformed",
    "101": "Invalid or missing parameters",
    "102": "Invalid user data header",
    "103": "Unknown API message ID",
    "104": "Unknown client message ID",
    "105": "Invalid Destination Address",
    "106": "Invalid Source Address",
    "107": "Empty message",
    "108": "Invalid or missing API ID",
    "109": "Missing message ID",
    "110": "Error with email message",
    "111": "Invalid Protocol",
    "112": "Invalid message type",
    "113": "Maximum message parts exceeded",
    "114": "Cannot route message",
    "115": "Message expired",
    "116": "Invalid Unicode Data",
    "120": "Invalid delivery time",
    "121": "Destination mobile number blocked",
    "122": "Destination mobile opted out",
    "123": "Invalid Sender ID",
    "128": "Number delisted",
    "130": "Maximum MT limit exceeded until",  # a Unix time follows
    "160": "HTTP method not supported on this resource",
    "161": "Resource does not exist",
    "165": "Invalid or missing version",
    "166": "Invalid accept header",
    "167": "Invalid content type",
    "201": "Invalid batch ID",
    "202": "No batch template",
    "301": "No Credit Left",
    "302": "Max allowed credit",
    "606": "Invalid Voucher",
    "607": "Expired Voucher",
    "900": "Internal error",
    "901": "Internal error. Please retry",
}

STATUSES: Final[dict[str, str]] = {
    "001": "unknown, or reporting is delayed",
    "002": "queued for another delivery attempt",
    "003": "delivered to the network",
    "004": "received by the handset",
    "005": "error with the content",
    "006": "cancelled by its sender",
    "007": "error delivering to the handset",
    "008": "received by the gateway",
    "009": "routing error",
    "010": "expired before hand-over, not charged",
    "011": "scheduled",
    "012": "out of credit",
    "013": "cancelled by the gateway's staff",
    "014": "message limit exceeded",
}

# The statuses pushed for each value of the `callback` parameter; no value pushes 006, 008, 011, 013 or 014.
_NETWORK: Final = frozenset({"003"})
_ERRORS: Final = frozenset({"005", "007", "009", "010", "012"})
_FINAL: Final = _ERRORS | {"004"}
MASKS: Final[dict[int, frozenset[str]]] = {
    0: frozenset(),
    1: _NETWORK,
    2: _FINAL,
    3: _NETWORK | _FINAL,
    4: _ERRORS,
    5: _NETWORK | _ERRORS,
    6: _FINAL,
    7: _NETWORK | _FINAL,
}
# fmt: on

RECEIVED: Final = "008"
SCHEDULED: Final = "011"
CANCELLED: Final = "006"
AT_NETWORK: Final = "003"
AT_HANDSET: Final = "004"
UNKNOWN: Final = "001"

REACHES_NETWORK: Final = frozenset({"004", "005", "007"})  # final statuses that follow a 003
UNCHARGED: Final = frozenset({"006", "010"})  # the charge is refunded

UNDOCUMENTED: Final = "Undocumented error"


def refusal(code: str) -> GatewayRefusal:
    """Returns the refusal of a code with its usual text, also for a code in no table."""
    return GatewayRefusal(code, ERRORS.get(code, UNDOCUMENTED))

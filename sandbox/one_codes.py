"""The codes of the One API, as tables: its errors, its statuses, and the mapping from the gateway's codes."""

from typing import Final, NamedTuple

from threelane.sandbox.codes import ERRORS as LEGACY
from threelane.sandbox.codes import UNDOCUMENTED, GatewayRefusal


class Error(NamedTuple):
    """An error as the One API returns it."""

    code: int
    http: int
    description: str


class OneStatus(NamedTuple):
    """A message status as the One API reports it."""

    code: int
    name: str


# fmt: off
_TABLE: Final = (
    Error(1,   401, "Invalid or missing API key"),
    Error(2,   400, "Account not active"),
    Error(3,   400, "Integration not active"),
    Error(7,   401, "Origin IP address not approved"),
    Error(18,  500, "Internal error"),
    Error(19,  503, "Internal error. Please retry"),
    Error(20,  402, "Insufficient balance"),
    Error(21,  400, "Malformed payload"),
    Error(22,  400, "Too many messages in request"),
    Error(23,  400, "Invalid or missing parameter"),
    Error(24,  400, "Content too big"),
    Error(25,  400, "Invalid recipient"),
    Error(26,  400, "Recipient opted out"),
    Error(27,  400, "Recipient not on channel"),
    Error(28,  400, "Recipient not in sandbox"),
    Error(38,  400, "Channel not active"),
    Error(39,  400, "Feature unavailable"),
    Error(40,  400, "Charset not supported"),
    Error(41,  404, "Resource does not exist"),
    Error(42,  400, "Method not supported"),
    Error(43,  400, "Rate limit exceeded"),
    Error(44,  400, "FROM number suspended"),
    Error(45,  400, "FROM number not in integration"),
    Error(46,  400, "Demo expired"),
    Error(100, 400, "Too many message parts"),
    Error(101, 400, "Destination has no two-way"),
    Error(110, 400, "Two-way integration required"),
    Error(111, 400, "STOP and SUBSCRIBE commands required"),
)
ERRORS: Final = {error.code: error for error in _TABLE}

FROM_LEGACY: Final[dict[str, int]] = {
    **dict.fromkeys(("001", "002", "003", "005"), 1),
    "004": 2,
    "108": 3,
    "007": 7,
    **dict.fromkeys(("900", "901"), 18),
    "301": 20,
    "100": 21,
    **dict.fromkeys(("101", "102", "107", "112", "120"), 23),
    **dict.fromkeys(("105", "114"), 25),
    **dict.fromkeys(("121", "122", "128"), 26),
    "116": 40,
    "161": 41,
    "160": 42,
    "130": 43,
    **dict.fromkeys(("106", "123"), 45),
    "113": 100,
}

STATUSES: Final[dict[str, OneStatus]] = {
    "001": OneStatus(1,   "UNKNOWN"),
    "002": OneStatus(2,   "QUEUED"),
    "003": OneStatus(4,   "SENT_TO_SUPPLIER"),
    "004": OneStatus(5,   "DEVICE_ACK"),
    "005": OneStatus(23,  "DELIVERY_FAILURE"),
    "006": OneStatus(21,  "STOPPED_BY_USER"),
    "007": OneStatus(23,  "DELIVERY_FAILURE"),
    "008": OneStatus(2,   "QUEUED"),
    "009": OneStatus(100, "ROUTING_ERROR"),
    "010": OneStatus(20,  "EXPIRED"),
    "011": OneStatus(3,   "SCHEDULED"),
    "012": OneStatus(25,  "INSUFFICIENT_ACCOUNT_BALANCE"),
    "013": OneStatus(22,  "STOPPED_BY_ADMIN"),
    "014": OneStatus(26,  "VOLUME_LIMIT"),
}
# fmt: on

TOO_MANY: Final = GatewayRefusal("022", "Too many messages in request")
TOO_BIG: Final = GatewayRefusal("024", "Content too big")


def error(why: GatewayRefusal) -> Error:
    """Returns the One API error of a refusal, with the One API's description unless the refusal has its own text."""
    code = FROM_LEGACY.get(why.code, int(why.code))  # an unlisted code passes unchanged
    known = ERRORS.get(code)
    is_usual = why.text == LEGACY.get(why.code, UNDOCUMENTED)
    return Error(code, known.http if known else 400, known.description if known and is_usual else why.text)

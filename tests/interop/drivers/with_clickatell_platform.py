"""The package clickatell-platform: Platform REST and its HTTP form."""

from clickatell.http import Http
from clickatell.rest import Rest
from task import ADDRESS, API, GIVEN, run

client = (Http if API == "Platform HTTP" else Rest)("sandbox")
client.endpoint = ADDRESS


def send(to, text="TEXT", **more):
    """Return the report of a send."""
    response = client.sendMessage([GIVEN[name] for name in to], GIVEN[text], more)
    entries = response["messages"]
    errors = [each["error"] for each in entries if each["error"]] + ([response["error"]] if response["error"] else [])
    return {"ids": [each["apiMessageId"] for each in entries if each["accepted"]], "errors": errors}


run(
    {
        "one": lambda: send(["TO"]),
        "many": lambda: send(["TO", "OTHER"]),
        "unicode": lambda: send(["TO"], "UNICODE_TEXT"),
        "scheduled": lambda: send(["TO"], scheduledDeliveryTime=GIVEN["DUE_AT_OFFSET"]),
        "refused": lambda: send(["OPTED_OUT"]),
    }
)

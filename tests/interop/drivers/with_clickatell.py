"""The package clickatell: the HTTP API and Central REST."""

from clickatell.http import Http
from clickatell.rest import Rest
from task import ADDRESS, API, GIVEN, run

client = Http("sandbox", "sandbox", "sandbox") if API == "HTTP" else Rest("sandbox")
client.endpoint = ADDRESS
LATER = {"scheduled_time": GIVEN["DUE_AT"]} if API == "HTTP" else {"scheduledDeliveryTime": GIVEN["DUE_AT_GMT"]}


def word(value):
    """Return a string, which this client gives as bytes on Python 3."""
    return value.decode() if isinstance(value, bytes) else value


def send(to, text="TEXT", **more):
    """Return the report of a send."""
    results = client.sendMessage([GIVEN[name] for name in to], GIVEN[text], more)
    errors = [word(each["errorCode"]) for each in results if each["error"]]
    return {"ids": [word(each["id"]) for each in results if each["id"]], "errors": errors}


def query():
    """Send, then ask for the status."""
    (sent,) = send(["TO"])["ids"]
    return {"status": word(client.queryMessage(sent)["status"])}


run(
    {
        "one": lambda: send(["TO"]),
        "many": lambda: send(["TO", "OTHER"]),
        "unicode": lambda: send(["TO"], "UNICODE_HEX", unicode=1),
        "plain": lambda: send(["TO"], "PLAIN_TEXT"),
        "scheduled": lambda: send(["TO"], **LATER),
        "refused": lambda: send(["OPTED_OUT"]),
        "query": query,
        "balance": client.getBalance,
    }
)

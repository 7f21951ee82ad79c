"""Apprise, whose plug-in for Clickatell uses the HTTP form of Platform REST."""

from apprise import Apprise
from apprise.plugins.clickatell import NotifyClickatell
from task import GIVEN, run

NotifyClickatell.notify_url = GIVEN["SANDBOX_URL"] + "/messages/http/send"
NotifyClickatell.request_rate_per_sec = 0


def send(to, text="TEXT"):
    """Return the report of a send."""
    service = Apprise()
    service.add("clickatell://sandbox/" + "/".join(GIVEN[name] for name in to))
    return {"ok": bool(service.notify(body=GIVEN[text]))}


run(
    {
        "one": lambda: send(["TO"]),
        "many": lambda: send(["TO", "OTHER"]),
        "unicode": lambda: send(["TO"], "UNICODE_TEXT"),
        "refused": lambda: send(["OPTED_OUT"]),
    }
)

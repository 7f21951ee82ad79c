"""The provider smsframework-clickatell, through its framework."""

from smsframework import Gateway, OutgoingMessage
from smsframework_clickatell import ClickatellProvider
from task import ADDRESS, GIVEN, run

gateway = Gateway()
gateway.add_provider("main", ClickatellProvider, api_id="sandbox", user="sandbox", password="sandbox")
provider = gateway.get_provider("main")
provider.api._hostname = ADDRESS


def send(to="TO", text="TEXT", **more):
    """Return the report of a send."""
    try:
        sent = gateway.send(OutgoingMessage(GIVEN[to], GIVEN[text]).params(**more))
    except Exception as error:
        return {"errors": [str(error)]}
    return {"ids": [sent.msgid]}


run(
    {
        "one": send,
        "unicode": lambda: send(text="UNICODE_TEXT"),
        "scheduled": lambda: send(deliv_time=GIVEN["DELAY_MINUTES"]),
        "refused": lambda: send("OPTED_OUT"),
        "balance": lambda: {"balance": provider.getbalance()},
    }
)

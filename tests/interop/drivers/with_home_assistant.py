"""Home Assistant's component clickatell, which logs an error and returns nothing."""

import logging

from homeassistant.components.clickatell import notify
from task import GIVEN, run

notify.BASE_API_URL = GIVEN["SANDBOX_URL"] + "/messages/http/send"
errors = []
handler = logging.Handler()
handler.emit = lambda record: errors.append(record.getMessage())
logging.getLogger(notify.__name__).addHandler(handler)


def send(to="TO", text="TEXT"):
    """Return the report of a send."""
    service = notify.get_service(None, {"api_key": "sandbox", "recipient": GIVEN[to]})
    service.send_message(GIVEN[text])
    return {"ok": not errors, "errors": errors}


run(
    {
        "one": send,
        "unicode": lambda: send(text="UNICODE_TEXT"),
        "refused": lambda: send("OPTED_OUT"),
    }
)

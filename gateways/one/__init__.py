"""One: the One API.

Source: the message page of Clickatell's One API guide.
"""

from threelane.contract.gateways import OURS, Credential, Declaration

PORTAL = "https://platform.clickatell.com"
API_KEY = Credential("clickatell_api_key", "the API key")
OF_MESSAGE = {  # on both of the Portal's APIs
    "to": "to",
    "text": "content",
    "sender": "from",
    "client_message_id": "clientMessageId",
    "max_message_parts": OURS,
    "lane": OURS,
    "callback": OURS,
    "validity_period": "validityPeriod",
    "deliver_at": OURS,
    "at_gateway": "scheduledDeliveryTime",
    "unicode": "content",
    "udh": "userDataHeader",
    "binary": "binary",
}

GATEWAY = Declaration(
    name="one",
    title="One API",
    address=PORTAL,
    credentials=(API_KEY,),
    sender="threelane.gateways.one.gateway:create",
    codes="threelane.gateways.one.codes:ONE_API",
    family="one_api",
    statuses="threelane.gateways.one.statuses:one_status",
    callbacks={"one": "threelane.gateways.one.callbacks:read_request"},
    sandbox="threelane.sandbox.one_api:OneApi",
    parameters={**OF_MESSAGE, "channel": "channel"},
    abilities={
        "balance": "balance",
        "many a request": "messages",
    },
)

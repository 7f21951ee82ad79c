"""One: the One API, and the callbacks of all accounts of the Platform.

Source: the message page of Clickatell's One API guide.
"""

from threelane.contract.gateways import OURS, Credential, Declaration

GATEWAY = Declaration(
    name="one",
    title="One API",
    address="https://platform.clickatell.com",
    credentials=(Credential("clickatell_api_key", "the API key"),),
    sender="threelane.gateways.one.gateway:create",
    codes="threelane.gateways.one.codes:ONE_API",
    family="one_api",
    statuses="threelane.gateways.one.statuses:one_status",
    callbacks={
        "one": "threelane.gateways.one.callbacks:read_request",
        "platform": "threelane.worker.inbound.platform:read",
    },
    sandbox="threelane.sandbox.one_api:OneApi",
    parameters={
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
        "channel": "channel",
    },
    abilities={
        "balance": "balance",
        "many a request": "messages",
    },
)

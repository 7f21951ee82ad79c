"""REST: the Central REST API.

Source: the table of features in Clickatell's Central REST guide.
"""

from threelane.contract.gateways import OURS, Credential, Declaration
from threelane.gateways.http import CALLBACKS, CENTRAL

GATEWAY = Declaration(
    name="rest",
    title="Central REST",
    address=CENTRAL,
    credentials=(Credential("clickatell_token", "the bearer token"),),
    sender="threelane.gateways.rest.gateway:create",
    codes="threelane.worker.policy.legacy:LEGACY",
    family="legacy",
    callbacks=CALLBACKS,
    sandbox="threelane.sandbox.rest_api:RestApi",
    parameters={
        "to": "to",
        "text": "text",
        "sender": "from",
        "client_message_id": "clientMessageId",
        "max_message_parts": "maxMessageParts",
        "lane": "userPriorityQueue",
        "callback": "callback",
        "validity_period": "validityPeriod",
        "deliver_at": OURS,
        "at_gateway": "scheduledDeliveryTime",
        "unicode": "unicode",
        "udh": "udh",
        "binary": "binary",
        "flash": "type",
        "max_credits": "maxCredits",
        "escalate": "escalate",
        "mo": "mo",
        "required_features": "requiredFeatures",
        "bypass_dnc": "bypassDNCCheck",
    },
    abilities={
        "look up by our id": "GET message",
        "charge": "GET message",
        "balance": "account/balance",
        "cancel": "DELETE message",
        "coverage": "coverage",
    },
)

"""Platform: the Platform's REST API, which accounts of the Portal use besides the One API, and its callbacks.

Source: Clickatell's help page on the Platform's SMS API, and clients of it.  Parts, priority and callbacks are settings
of the integration and not of a message.  Its other form, by HTTP, has the key in the URL, so it is not used.
"""

from threelane.contract.gateways import OURS, Declaration
from threelane.gateways.one import API_KEY, PORTAL

GATEWAY = Declaration(
    name="platform",
    title="Platform REST",
    address=PORTAL,
    credentials=(API_KEY,),
    sender="threelane.gateways.platform.gateway:create",
    codes="threelane.worker.policy.legacy:LEGACY",
    family="legacy",
    callbacks={"platform": "threelane.worker.inbound.platform:read"},
    sandbox="threelane.sandbox.platform_api:PlatformApi",
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
    },
    abilities={
        "balance": "GET public-client/balance",
    },
)

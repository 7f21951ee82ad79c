"""Platform: the Platform's REST API, which accounts of the Portal use besides the One API, and its callbacks.

Source: Clickatell's help page on the Platform's SMS API, and clients of it.  Parts, priority and callbacks are settings
of the integration and not of a message.  Its other form, by HTTP, has the key in the URL, so it is not used.
"""

from threelane.contract.gateways import Declaration
from threelane.gateways.one import API_KEY, OF_MESSAGE, PORTAL

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
    parameters=OF_MESSAGE,
    abilities={"balance": "GET public-client/balance"},
)

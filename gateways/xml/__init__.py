"""XML: the XML API.

Source: Clickatell's XML API specification.
"""

from threelane.contract.gateways import NEVER, Declaration
from threelane.gateways import http

GATEWAY = Declaration(
    name="xml",
    title="XML",
    address=http.CENTRAL,
    credentials=http.CREDENTIALS,
    account=http.ACCOUNT,
    sender="threelane.gateways.xml.gateway:create",
    codes="threelane.worker.policy.legacy:LEGACY",
    family="legacy",
    callbacks=http.CALLBACKS,
    sandbox="threelane.sandbox.xml_api:XmlApi",
    parameters={
        **http.GATEWAY.parameters,
        "client_message_id": "cliMsgId",
        "at_gateway": "deliv_time",
        "message_class": NEVER,
    },
    abilities={
        "look up by our id": "queryMsg",
        "charge": "getMsgCharge",
        "balance": "getBalance",
        "cancel": "delMsg",
        "cancel by our id": "delMsg",
        "coverage": "routeCoverage",
        "session": "auth, ping",
        "many a request": "sendMsg",
    },
)

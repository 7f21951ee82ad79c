"""HTTP: the HTTP API.

Source: Clickatell's HTTP API guide.
"""

from threelane.contract.gateways import OURS, Credential, Declaration

CENTRAL = "https://api.clickatell.com"
CREDENTIALS = (
    Credential("clickatell_api_id", "the API id, or a Portal API key", secret=False, shown=False),
    Credential("clickatell_user", "the account's user name", secret=False),
    Credential("clickatell_password", "the account's password"),
)
ACCOUNT = ("clickatell_user", "clickatell_api_id")
CALLBACKS = {  # statuses and replies; either address accepts both
    "status": "threelane.worker.inbound.central:read",
    "mo": "threelane.worker.inbound.central:read",
}

GATEWAY = Declaration(
    name="http",
    title="HTTP",
    address=CENTRAL,
    credentials=CREDENTIALS,
    account=ACCOUNT,
    sender="threelane.gateways.http.gateway:create",
    codes="threelane.worker.policy.legacy:LEGACY",
    family="legacy",
    callbacks=CALLBACKS,
    has_charset=True,
    sandbox="threelane.sandbox.http_api:HttpApi",
    parameters={
        "to": "to",
        "text": "text",
        "sender": "from",
        "client_message_id": "climsgid",
        "max_message_parts": "concat",
        "lane": "queue",
        "callback": "callback",
        "validity_period": "validity",
        "deliver_at": OURS,
        "at_gateway": "scheduled_time",
        "unicode": "unicode",
        "udh": "udh",
        "binary": "binary",
        "flash": "msg_type",
        "old_type": "msg_type",
        "message_class": "mclass",
        "handset_receipt": "deliv_ack",
        "max_credits": "max_credits",
        "escalate": "escalate",
        "mo": "mo",
        "required_features": "req_feat",
    },
    abilities={
        "look up by our id": "querymsg",
        "charge": "getmsgcharge",
        "balance": "getbalance",
        "cancel": "delmsg",
        "cancel by our id": "delmsg",
        "coverage": "routeCoverage",
        "voucher": "token_pay",
        "session": "auth, ping",
    },
)

"""Authentication of the HTTP and XML APIs: a session, or credentials on each request."""

from collections.abc import Mapping

from threelane.sandbox.codes import GatewayRefusal, refusal
from threelane.sandbox.gateway import SandboxGateway


def refuses(gateway: SandboxGateway, parameters: Mapping[str, str]) -> GatewayRefusal | None:
    """Returns why a request with these parameters is not authenticated, or None."""
    if session_id := parameters.get("session_id"):
        return None if gateway.sessions.renew(session_id, gateway.clock()) else refusal("003")
    field = parameters.get
    if field("api_id") or field("user") or field("password"):
        return gateway.account.refuses(field("api_id"), field("user"), field("password"))
    return refusal("005" if parameters else "001")


def open_session(gateway: SandboxGateway, parameters: Mapping[str, str]) -> str | GatewayRefusal:
    """Returns the id of a new session, or why these credentials are refused."""
    field = parameters.get
    refused = gateway.account.refuses(field("api_id"), field("user"), field("password")) if parameters else None
    if refused or not parameters:
        return refused or refusal("001")
    return gateway.sessions.open(gateway.clock())

"""TLS: options for Redis and RabbitMQ, which always check the certificate."""

from __future__ import annotations

import ssl
from typing import Any

from threelane.runtime.settings import Settings


def options(settings: Settings, url: str) -> dict[str, Any]:
    """Return the TLS options of redis-py, also for kombu; empty for an address without TLS.

    By default kombu checks no certificate for rediss://.
    """
    if not url.startswith("rediss://"):
        return {}
    files = {
        "ssl_ca_certs": settings.redis_ca_file,  # None: the system's CAs
        "ssl_certfile": settings.redis_certificate_file,
        "ssl_keyfile": settings.redis_key_file,
    }
    named = {name: str(path) for name, path in files.items() if path}
    return {"ssl_cert_reqs": "required", "ssl_check_hostname": True, **named}


def amqp_options(url: str) -> dict[str, Any]:
    """Return kombu's options to check the certificate of RabbitMQ; empty for an address without TLS.

    The CAs are the system's, or those of SSL_CERT_FILE.  By default kombu does not compare the host name.
    """
    if not url.startswith("amqps://"):
        return {}
    return {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": None}  # None: the host of the address


def problem(failed: BaseException) -> str:
    """Return the TLS problem of a failed connection and its fix; '' if TLS was not the cause."""
    cause = _cause(failed)
    if cause is None:
        return ""
    if isinstance(cause, ssl.SSLCertVerificationError):
        if cause.verify_code in (62, 64):  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
            return "the certificate of Redis is for another name: correct the host in THREELANE_REDIS_URL"
        return (
            f"the certificate of Redis is not trusted ({cause.verify_message}): set THREELANE_REDIS_CA_FILE to the CA "
            "that signed it"
        )
    if "CERTIFICATE_REQUIRED" in str(cause) or "HANDSHAKE_FAILURE" in str(cause):
        return "Redis requires a client certificate: set THREELANE_REDIS_CERTIFICATE_FILE and THREELANE_REDIS_KEY_FILE"
    return (
        f"TLS with Redis failed ({cause.reason or 'connection closed'}): check whether this port uses TLS, and whether "
        "Redis requires a client certificate (THREELANE_REDIS_CERTIFICATE_FILE)"
    )


def _cause(failed: BaseException) -> ssl.SSLError | None:
    """Return the TLS error behind an error; redis-py and kombu wrap it in their own."""
    seen: BaseException | None = failed
    for _ in range(8):
        if seen is None or isinstance(seen, ssl.SSLError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None

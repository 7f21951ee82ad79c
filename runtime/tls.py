"""TLS: how a process proves that it talks to the right Redis; the certificate is always checked."""

from __future__ import annotations

import ssl
from typing import Any

from threelane.runtime.settings import Settings


def options(settings: Settings, url: str) -> dict[str, Any]:
    """Return what redis-py, and kombu through it, are told for an address; nothing for one without TLS.

    kombu's own default for rediss:// is to check nothing.
    """
    if not url.startswith("rediss://"):
        return {}
    told = {
        "ssl_ca_certs": settings.redis_ca_file,  # without: the CAs that the system trusts
        "ssl_certfile": settings.redis_certificate_file,
        "ssl_keyfile": settings.redis_key_file,
    }
    named = {name: str(path) for name, path in told.items() if path}
    return {"ssl_cert_reqs": "required", "ssl_check_hostname": True, **named}


def amqp_options(url: str) -> dict[str, Any]:
    """Return what kombu needs to check the certificate of a RabbitMQ; nothing for an address without TLS.

    The CAs that the system trusts are asked, or those of SSL_CERT_FILE.  kombu's own default is not to compare names.
    """
    if not url.startswith("amqps://"):
        return {}
    return {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": None}  # the name that the address has


def problem(failed: BaseException) -> str:
    """Return what is wrong with the TLS of a connection that failed, and what to do; '' if that was not the cause."""
    cause = _cause(failed)
    if cause is None:
        return ""
    if isinstance(cause, ssl.SSLCertVerificationError):
        if cause.verify_code in (62, 64):  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH
            return "the certificate of Redis is for another name: correct the host in THREELANE_REDIS_URL"
        return (
            f"the certificate of Redis is refused ({cause.verify_message}): THREELANE_REDIS_CA_FILE has to name the CA "
            "that signed it"
        )
    if "CERTIFICATE_REQUIRED" in str(cause) or "HANDSHAKE_FAILURE" in str(cause):
        return "Redis wants a certificate of ours: set THREELANE_REDIS_CERTIFICATE_FILE and THREELANE_REDIS_KEY_FILE"
    return (
        f"TLS with Redis failed ({cause.reason or 'it hung up'}): see whether it speaks TLS at this port, and if it "
        "wants a certificate of ours (THREELANE_REDIS_CERTIFICATE_FILE)"
    )


def _cause(failed: BaseException) -> ssl.SSLError | None:
    """Return the error of TLS that an error came from; redis-py and kombu wrap it in their own."""
    seen: BaseException | None = failed
    for _ in range(8):
        if seen is None or isinstance(seen, ssl.SSLError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None

"""No field: names that the gateway's requests have beside those of a message, and what to do instead.

A caller who moves a request to Threelane writes them, too.  Their values, which may be secret, are never repeated.
"""

from __future__ import annotations

from threelane.contract.refusal import Refusal, invalid

_CREDENTIALS = frozenset({
    "apiid", "user", "username", "password", "sessionid", "apikey", "authorization", "authtoken", "token",
})  # fmt: skip
_NO_SECRET = frozenset({"user", "username"})  # a name of a person, in tables
_WHATSAPP = frozenset({"media", "hsm", "location", "contacts", "previewfirsturl", "encryptionkey"})
_QUERY = frozenset({"apimsgid", "apimessageid", "momsgid", "msisdn", "batchid"})


def is_secret(name: str) -> bool:
    """Return whether a name is that of credentials, whose values are never repeated."""
    return _plain(name) in _CREDENTIALS - _NO_SECRET


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter not in "_- ")


def refuse(name: object) -> Refusal:
    """Return the refusal of a name that is none of a field: credentials, other requests' parameters, or unknown."""
    field = str(name)[:40].encode("utf-8", "backslashreplace").decode()
    plain = _plain(field)
    if plain in _CREDENTIALS:
        return invalid(
            field,
            "a message has no credentials: the workers have those of the gateway",
            "leave it out; set THREELANE_CLICKATELL_... for the workers, as docs/gateways.md shows",
        )
    if plain == "sequenceno":
        return invalid(field, "Threelane numbers its own requests", "leave it out; give client_message_id instead")
    if plain in _WHATSAPP:
        return invalid(field, "Threelane sends texts and 8-bit data, no other content", "leave it out")
    if plain in _QUERY:
        return invalid(field, "a parameter of another request of the gateway", "leave it out")
    return invalid(field, "unknown field", "docs/fields.md lists the fields")

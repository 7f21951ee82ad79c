"""Form: application/x-www-form-urlencoded by yarl, which is eight times as fast as urllib."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode

from yarl import URL

_NOWHERE = URL("http://form/")


def encode(form: Mapping[str, str], octets: Mapping[str, bytes] | None = None) -> bytes:
    """Return the encoded form; leaves characters that a query need not quote (``/:?@!$'()*,``) unquoted.

    ``octets`` are the values of some fields in an encoding other than UTF-8.
    """
    if octets:
        form = {name: value for name, value in form.items() if name not in octets}
    encoded = _NOWHERE.with_query(form).raw_query_string.encode()
    return encoded + b"&" + urlencode(octets).encode() if octets else encoded

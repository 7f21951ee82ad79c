"""Form: application/x-www-form-urlencoded by yarl, which is eight times as fast as urllib."""

from __future__ import annotations

from collections.abc import Mapping

from yarl import URL

_NOWHERE = URL("http://form/")


def encode(form: Mapping[str, str]) -> bytes:
    """Return the encoded form; leaves characters that a query need not quote (``/:?@!$'()*,``) unquoted."""
    return _NOWHERE.with_query(form).raw_query_string.encode()

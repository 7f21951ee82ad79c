"""Forms carry the exact text."""

from __future__ import annotations

from urllib.parse import parse_qs

from hypothesis import given
from hypothesis import strategies as st

from threelane.worker.gateway.form import encode

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=50) | st.text("%+&=; ?/\r\n\t\0ü€😀", max_size=20)


@given(st.dictionaries(TEXTS, TEXTS))
def test_a_form_is_read_back_as_it_was(form: dict[str, str]) -> None:
    assert parse_qs(encode(form).decode("ascii"), keep_blank_values=True) == {name: [form[name]] for name in form}

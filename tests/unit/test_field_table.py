"""docs/fields.md matches the table of fields."""

from __future__ import annotations

import re

import pytest

from tests.layout import ROOT
from threelane.contract.fields import FIELDS, FieldSpec
from threelane.contract.refusal import Code
from threelane.operations import field_table


def test_the_page_is_that_of_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    """It is generated; ``python -m threelane.operations.field_table > docs/fields.md`` writes it again."""
    field_table.main()
    assert capsys.readouterr().out == (ROOT / "docs" / "fields.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_a_field_is_refused_with_codes_that_accept_has(field: FieldSpec) -> None:
    """A reader looks for the code of an error in this column."""
    codes = re.findall(r"\d{3}", field.codes)
    assert codes
    assert set() == set(codes) - {code.value for code in Code}

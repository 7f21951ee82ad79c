"""docs/clickatell.md has every item, and what it names exists."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import cache

import pytest

from tests.layout import ROOT
from threelane.contract.fields import BY_SPELLING
from threelane.contract.gateways import ABILITIES, FEATURES, declared
from threelane.operations.clickatell import page, registers
from threelane.operations.clickatell.item import Document, Item
from threelane.sandbox import codes

PAGE = ROOT / "docs" / "clickatell.md"
SPANS = sorted(set(re.findall(r"`([\w/]+\.py:{1,2}[\w.]+)`", PAGE.read_text(encoding="utf-8"))))
"""Every file:symbol and file::test of the page."""
DOCUMENTS = {  # how many items of a kind each document has, counted in the document
    (Document.HTTP, "parameter"): 20,
    (Document.HTTP, "command"): 11,
    (Document.HTTP, "callback"): 12,
    (Document.HTTP, "error code"): 28,
    (Document.HTTP, "success code"): 1,
    (Document.HTTP, "status"): 13,
    (Document.REST, "parameter"): 18,
    (Document.PORTAL, "feature"): 5,
    (Document.TWO_WAY, "feature"): 10,
    (Document.HANDLER, "feature"): 13,
}


def test_the_page_is_that_of_the_registers(capsys: pytest.CaptureFixture[str]) -> None:
    """``python -m threelane.operations.clickatell.page > docs/clickatell.md`` writes it again."""
    page.main()
    assert capsys.readouterr().out == PAGE.read_text(encoding="utf-8")


def test_no_item_of_a_document_is_missing() -> None:
    """A row that is removed from a table would be missed by nothing else."""
    assert Counter(DOCUMENTS) == Counter((item.document, item.kind) for item in page.ITEMS)


def test_no_item_is_listed_twice() -> None:
    assert [] == [key for key, count in Counter(item[:3] for item in page.ITEMS).items() if count > 1]


@pytest.mark.parametrize("item", page.ITEMS, ids=lambda item: f"{item.document}-{item.name}")
def test_no_cell_of_an_item_is_empty(item: Item) -> None:
    """Each item has a meaning, a place and a test."""
    assert all(cell.strip() and "|" not in cell and "`" not in item.name for cell in item)


@pytest.mark.parametrize("span", SPANS)
def test_a_symbol_or_test_that_the_page_names_exists(span: str) -> None:
    """A function that is renamed takes its row with it."""
    file, name = re.split("::?", span)
    assert (ROOT / file).is_file()
    assert name in names(file)


def test_each_item_names_a_symbol_and_a_test() -> None:
    """In the form that the test above checks."""
    assert set() == {part for item in page.ITEMS for part in (item.where, item.test)} - set(SPANS)
    assert [] == [item for item in page.ITEMS if "::" in item.where or not item.test.startswith("tests/")]


def test_the_page_has_each_entry_of_each_register() -> None:
    """Fields and their spellings, features, abilities, error codes and statuses, also those that the sandbox has."""
    cells = {
        cell for line in PAGE.read_text(encoding="utf-8").splitlines() for cell in re.split(r" \| |\| | \||, ", line)
    }
    spellings = set(BY_SPELLING)
    parameters = {name for one in declared().values() for name in (*one.parameters.values(), *one.abilities.values())}
    errors = {code for _, table in registers.families().values() for code in table.rules}
    statuses = {name for table in registers.status_tables().values() for name in table}
    coded = spellings | {name for each in parameters for name in each.split(", ")} | errors | statuses
    coded |= {*codes.ERRORS, *codes.STATUSES}

    assert set() == {f"`{name}`" for name in coded - {"(by us)"}} - cells - {f"`{each}`" for each in parameters}
    assert set() == {*FEATURES, *ABILITIES, *(one.title for one in declared().values())} - cells


def test_the_table_of_fields_has_every_name_of_each_field() -> None:
    """In the field's own row: most of these names are also elsewhere on the page."""
    shown = {
        name for row in registers.fields() for cell in row.split(" | ")[:2] for name in re.findall(r"`(\w+)`", cell)
    }
    assert set(BY_SPELLING) == shown


@cache
def names(file: str) -> frozenset[str]:
    """Return what a module defines: its functions, classes and constants, and those of its classes."""
    return frozenset(_defined(ast.parse((ROOT / file).read_text(encoding="utf-8"))))


def _defined(tree: ast.Module | ast.ClassDef, prefix: str = "") -> set[str]:
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(prefix + node.name)
        if isinstance(node, ast.ClassDef):
            found |= _defined(node, f"{prefix}{node.name}.")
        targets = (
            node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
        )
        found |= {prefix + target.id for target in targets if isinstance(target, ast.Name)}
    return found

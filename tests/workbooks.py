"""Workbooks: .xlsx files of a few cells, written by hand, since no library writes the damaged ones."""

from __future__ import annotations

import zipfile
from io import BytesIO

_MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_TYPES = (
    '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/>'
    '<Override PartName="/xl/workbook.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/>{}</Types>'
)
_SHEET_TYPE = (
    '<Override PartName="/xl/worksheets/sheet{}.xml" '
    'ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/>'
)
_RELS = '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{}</Relationships>'
_REL = '<Relationship Id="rId{}" Type="' + _OFFICE + '/{}" Target="{}"/>'


def text(where: str, value: str) -> str:
    """Return a cell of text."""
    return f'<c r="{where}" t="inlineStr"><is><t>{value}</t></is></c>'


def number(where: str, value: str) -> str:
    """Return a cell with a number, spelt as a spreadsheet spells it."""
    return f'<c r="{where}"><v>{value}</v></c>'


def row(index: int, *cells: str, more: str = "") -> str:
    """Return a row; ``more`` are its attributes."""
    return f'<row r="{index}" {more}>{"".join(cells)}</row>'


HEADER = row(1, text("A1", "to"), text("B1", "text"))


def workbook(
    *sheets: str,
    names: tuple[str, ...] = (),
    states: tuple[str, ...] = (),
    parts: dict[str, str] | None = None,
    part: str = "worksheets/sheet{}.xml",
    more: str = "",
    types: str = "",
) -> bytes:
    """Return a workbook of sheets, each given by its rows; ``parts`` replace or add parts by name.

    ``part`` is the name under which a sheet is looked up, ``more`` follows the list of sheets, and ``types`` that of
    the parts' types.
    """
    names = names or tuple(f"Sheet{index}" for index in range(1, len(sheets) + 1))
    states = states or ("visible",) * len(sheets)
    listed = "".join(
        f'<sheet name="{name}" sheetId="{index}" state="{state}" r:id="rId{index}"/>'
        for index, (name, state) in enumerate(zip(names, states, strict=True), 1)
    )
    found = {
        "[Content_Types].xml": _TYPES.format("".join(_SHEET_TYPE.format(i) for i in range(1, len(sheets) + 1)) + types),
        "_rels/.rels": _RELS.format(_REL.format(1, "officeDocument", "xl/workbook.xml")),
        "xl/workbook.xml": f'<workbook xmlns="{_MAIN}" xmlns:r="{_OFFICE}"><sheets>{listed}</sheets>{more}</workbook>',
        "xl/_rels/workbook.xml.rels": _RELS.format(
            "".join(_REL.format(i, "worksheet", part.format(i)) for i in range(1, len(sheets) + 1))
        ),
    }
    for index, rows in enumerate(sheets, 1):
        found[f"xl/worksheets/sheet{index}.xml"] = sheet(rows)
    return archive(found | (parts or {}))


def sheet(rows: str, before: str = "") -> str:
    """Return the part of a sheet; ``before`` precedes its rows, as its columns do."""
    return f'<?xml version="1.0"?><worksheet xmlns="{_MAIN}">{before}<sheetData>{rows}</sheetData></worksheet>'


def archive(parts: dict[str, str]) -> bytes:
    """Return a .zip file of these parts."""
    whole = BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in parts.items():
            opened.writestr(name, content)
    return whole.getvalue()

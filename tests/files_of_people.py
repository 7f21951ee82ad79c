"""Files of people: what spreadsheets, databases, address books and people make of a list, after public bug reports."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from io import BufferedReader, BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from tests.workbooks import HEADER, archive, number, row, sheet, text, workbook
from threelane.contract.reading import INTERNATIONAL
from threelane.interfaces.command.bulk.job import Duplicates, Names, Reading, make_job
from threelane.producer.files.numbers import NumberRules
from threelane.producer.files.row import FileRow

A, B, C = "27831230001", "27831230002", "27831230003"
HI = ((A, "Hello"),)
TWO = ((A, "Hello"), (B, "Hi"))
NAMED = ("--text", "Hi {first name}")
ANA = ((A, "Hi Ana"),)


class Case(NamedTuple):
    """A file: its content, its options, the messages that its good rows are, and its bad rows with their problem.

    ``sentence`` is part of why the file is refused as a whole.
    """

    name: str
    octets: bytes
    options: tuple[str, ...] = ()
    messages: tuple[tuple[str, str], ...] = ()
    refused: tuple[tuple[int, str], ...] = ()
    sentence: str = ""


def rows(case: Case, batch: str = "") -> Iterator[FileRow]:
    """Yield the rows of a file as the command reads them; raises InvalidFile."""
    options: dict[str, Any] = dict(zip(case.options[::2], case.options[1::2], strict=True))
    columns = (options["--column"],) if "--column" in options else ()
    duplicates = Duplicates(options.get("--duplicates", "refuse"))
    reading = Reading(None, columns, options.get("--encoding", ""), options.get("--sheet", ""), duplicates)
    job = make_job(Path(case.name), options.get("--text"), Names(batch), reading, {}, NumberRules(INTERNATIONAL))
    return job.rows(BufferedReader(BytesIO(case.octets)))


def good(name: str, content: str | bytes, messages: tuple[tuple[str, str], ...] = HI, *options: str) -> Case:
    """Return a file whose rows are all sent."""
    return Case(name, content.encode() if isinstance(content, str) else content, options, messages)


def mixed(
    name: str, content: str | bytes, refused: tuple[tuple[int, str], ...], messages: tuple[tuple[str, str], ...] = (),
    *options: str,
) -> Case:  # fmt: skip
    """Return a file of which some rows are refused."""
    return Case(name, content.encode() if isinstance(content, str) else content, options, messages, refused)


def whole(name: str, content: str | bytes, sentence: str, *options: str) -> Case:
    """Return a file that is refused as a whole."""
    return Case(name, content.encode() if isinstance(content, str) else content, options, sentence=sentence)


_GOOGLE = "Name,Given Name,Phone 1 - Type,Phone 1 - Value,Phone 2 - Type,Phone 2 - Value"
_OUTLOOK = "First Name,Last Name,Home Phone,Mobile Phone,E-mail Address"
_HUBSPOT = "Record ID,First Name,Phone Number,Mobile Phone Number,Email"
_BIG = workbook(HEADER + row(2, number("A2", "2.7831230001E10"), text("B2", "Hello")))
_FORMULAS = HEADER + row(2, number("A2", A), '<c r="B2"><f>"Dear "&amp;C2</f><v>0</v></c>')
_ON_LOAD = '<calcPr fullCalcOnLoad="1"/>'
_RECALCULATED = workbook(_FORMULAS + row(3, number("A3", B), text("B3", "Hi")), more=_ON_LOAD)
_ZERO_HEIGHT = sheet(HEADER + row(2, number("A2", A), text("B2", "Hello")), '<sheetFormatPr zeroHeight="1"/>')
_STRICT = workbook(HEADER, more="<!-- http://purl.oclc.org/ooxml/spreadsheetml/main -->")
_TITLED = f"Customers of November\n\nto,text\n{A},Hello\n"
_CHINESE = f"手机号,短信内容\n{A},你好\n"
_ENTITY = '<!DOCTYPE a [<!ENTITY b "c">]>'
_ELSEWHERE = workbook(HEADER, parts={"xl/worksheets/sheet1.dat": _ENTITY + sheet("")}, part="worksheets/sheet{}.dat")
_SALESFORCE = '"First Name","Account Name","Mobile","Type"'
_OPEN_DOCUMENT = {"mimetype": "application/vnd.oasis.opendocument.spreadsheet", "content.xml": ""}
_CYRILLIC = f"to,text\n{A},Привет Анна\n"

CASES: tuple[Case, ...] = (
    # separators and quotes
    good("excel-de.csv", f"Telefon;Nachricht\r\n{A};Hello\r\n"),  # thunfischbrot/csvtk 13, oroinc/crm 96
    good("excel-fr.csv", codecs.BOM_UTF8 + f"Téléphone;Message\r\n{A};Hello\r\n".encode()),
    good("commas-in-semicolons.csv", f"to;text\n{A};Hello, Ana, it is 9,50\n", ((A, "Hello, Ana, it is 9,50"),)),
    good("tabs.tsv", f"to\ttext\n{A}\tHello\n"),
    good("pipes.txt", f"to|text\n{A}|Hello\n"),
    good("sep-line.csv", f"sep=;\r\nto;text\r\n{A};Hello\r\n"),  # PowerShell 7776
    good("quoted-sep-line.csv", f'"sep=,"\r\nto,text\r\n{A},Hello\r\n'),
    good("sep-tilde.csv", f"SEP=~\nto~text\n{A}~Hello\n"),  # alexcaza/export-to-csv 43
    good("quoted-header.csv", f'"To","Text"\n"{A}","Hello"\n'),
    good("single-quotes.csv", f"'to','text'\n'{A}','Hello, Ana'\n", ((A, "Hello, Ana"),)),
    good("space-before-quotes.csv", f'to, text\n{A}, "Hello, Ana"\n', ((A, "Hello, Ana"),)),
    good("tab-in-text.csv", f'to,text\n{A},"one\ttwo"\n', ((A, "one\ttwo"),)),
    good("lines-in-text.csv", f'to,text\r\n{A},"one\r\ntwo"\r\n{B},Hi\r\n', ((A, "one\ntwo"), (B, "Hi"))),
    good("smart-quotes.csv", f"to,text\n{A},“Hello”\n", ((A, "“Hello”"),)),
    mixed("comma-not-quoted.csv", f"to,text\n{A},Hello, Ana\n{B},Hi\n", ((1, "1 more cells"),), ((B, "Hi"),)),
    mixed("comma-in-unnamed.csv", f"to,text,\n{A},Hello, Ana\n{B},Hi,\n", ((1, "column 3, which has no name"),),
          ((B, "Hi"),)),
    mixed("moved-cells.csv", f"to,text,lane,notes\n{A},Hello, Ana,,\n{B},Hi,1,\n", ((1, "1 more cells"),),
          ((B, "Hi"),)),
    mixed("quote-not-closed.csv", f'to,text\n{A},Hello\n{B},"Hi\n', ((2, "unexpected end of data (line 3)"),), HI),
    # ends of lines, blank rows, ragged rows
    good("old-mac.csv", f"to,text\r{A},Hello\r{B},Hi\r", TWO),
    good("no-last-end.csv", f"to,text\n{A},Hello\n{B},Hi", TWO),
    good("double-ends.csv", f"to,text\r\r\n{A},Hello\r\r\n{B},Hi\r\r\n", TWO),
    good("trailing-commas.csv", f"to,text,,,\n{A},Hello,,,\n{B},Hi,,,\n,,,,\n", TWO),  # DataHarmonizer 48
    good("commas-behind-rows.csv", f"to,text\n{A},Hello,\n{B},Hi,\n", TWO),
    good("blank-rows.csv", f"\n,\nto,text\n{A},Hello\n,\n  ,\u00a0\n\n{B},Hi\n", TWO),  # mautic 890
    good("ctrl-z.csv", f"to,text\r\n{A},Hello\r\n\x1a"),
    good("nul-tail.csv", f"to,text\n{A},Hello\n" + "\0" * 512),  # after a crash
    good("line-separators.csv", f'to,text\n{A},"a\u2028b\x0bc"\n', ((A, "a\u2028b\x0bc"),)),
    mixed("ragged.csv", f"to,text,lane\n{A},Hello,1\n{B},Hi\n", ((2, "ends before this column"),), HI),
    mixed("nul-in-text.csv", f"to,text\n{A},He\0llo\n{B},Hi\n", ((1, "NUL"),), ((B, "Hi"),)),
    # encodings
    good("bom-twice.csv", codecs.BOM_UTF8 * 2 + f'"to","text"\n{A},Hello\n'.encode()),
    good("unicode-text.txt", f"to\ttext\r\n{A}\tGrüße\r\n".encode("utf-16"), ((A, "Grüße"),)),
    good("utf-16-be.csv", codecs.BOM_UTF16_BE + f"to,text\n{A},Grüße\n".encode("utf-16-be"), ((A, "Grüße"),)),
    good("utf-16-unmarked.csv", f"to,text\n{A},Grüße\n".encode("utf-16-le"), ((A, "Grüße"),)),  # jamovi 257
    whole("windows-1252.csv", f"to,text\n{A},Grüße\n".encode("cp1252"), "--encoding windows-1252"),
    good("given-1252.csv", f"to,text\n{A},Grüße\n".encode("cp1252"), ((A, "Grüße"),), "--encoding", "windows-1252"),
    whole("windows-1251.csv", _CYRILLIC.encode("cp1251"), "--encoding windows-1251"),
    good("given-koi8.csv", _CYRILLIC.encode("koi8-r"), ((A, "Привет Анна"),), "--encoding", "KOI8-R"),
    good("given-gb18030.csv", _CHINESE.encode("gb18030"), ((A, "你好"),), "--encoding", "gb18030"),
    whole("no-such-encoding.csv", f"to,text\n{A},Hi\n", "is unknown", "--encoding", "klingon"),
    mixed("one-latin-1-row.csv", f"to,text\n{A},Grüße\n".encode() + f"{B},caf".encode() + b"\xe9\n",
          ((2, "not UTF-8"),), ((A, "Grüße"),)),
    mixed("lost-letters.csv", f"to,text\n{A},Gr\ufffd\ufffde\n{B},Hi\n", ((1, "U+FFFD"),), ((B, "Hi"),)),
    # headers
    good("any-case.csv", f"TO,Text\n{A},Hello\n"),
    good("zero-width.csv", f"to\u200b,\ufefftext\u00a0\n{A},Hello\n"),
    good("underscores.csv", f"phone_number,sms-text\n{A},Hello\n"),
    good("decomposed.csv", f"te\u0301le\u0301phone,message\n{A},Hello\n"),
    good("many-columns.csv", ",".join(["to", "text", *(f"c{n}" for n in range(5000))]) + f"\n{A},Hello" + "," * 5000),
    good("whatsapp.csv", f"Contact Name,Phone,Message\nAna,+{A},Hello\n"),
    good("mailchimp.csv", f'Email Address,First Name,Phone,TAGS\na@b.c,Ana,{A},"""VIP"",""New"""\n', ANA, *NAMED),
    good("salesforce.csv", _SALESFORCE + f'\n"Ana","ACME","{A}","Customer"\n', ANA, *NAMED),
    whole("hubspot.csv", _HUBSPOT + f"\n1,Ana,{B},{A},a@b.c\n", "two columns of numbers, Phone Number and Mobile",
          *NAMED),
    good("hubspot-chosen.csv", _HUBSPOT + f"\n1,Ana,{B},{A},a@b.c\n", ANA, *NAMED,
         "--column", "to=Mobile Phone Number"),
    whole("google.csv", _GOOGLE + f"\nAna B,Ana,Mobile,{A},,\n", "--column to=", "--text", "Hi {given name}"),
    whole("outlook.csv", _OUTLOOK + f"\nAna,B,{B},{A},a@b.c\n", "Mobile Phone and Home Phone", *NAMED),
    good("country.csv", f"phone,message,Country\n+{A},Hello,South Africa\n"),
    whole("no-header.csv", f"{A},Hello\n{B},Hi\n", "instead of names"),
    whole("title-above.csv", _TITLED, "the header is on line 3"),
    whole("header-alone.csv", "to,text\n\n", "nothing to send"),
    whole("empty.csv", "", "the file is empty"),
    whole("two-names.csv", f"to,First Name,first_name\n{A},Ana,Bo\n", "two columns for {first name}", *NAMED),
    good("pandas.csv", f",to,text\n0,{A},Hello\n1,{B},Hi\n", TWO),
    good("crm.csv", f"Phone,Message,From,Sender,Validity,Escalate\n{A},Hello,Durban,Bo,2027,yes\n"),
    whole("phpmyadmin.csv", f'"{A}";"Hello"\n"{B}";"Hi"\n', "the first row has the number"),
    whole("utf-16-cyrillic.csv", f"Телефон,Текст\n{A},Привет\n".encode("utf-16-le"), "--encoding utf-16-le"),
    whole("utf-16-cyrillic-be.csv", f"Телефон,Текст\n{A},Привет\n".encode("utf-16-be"), "--encoding utf-16-be"),
    good("utf-16-given.csv", f"Телефон,Текст\n{A},Привет\n".encode("utf-16-be"), ((A, "Привет"),),
         "--encoding", "utf-16-be"),
    whole("bom-as-1252.csv", f"ï»¿to,text\n{A},Hello\n", "converted to UTF-8 twice"),
    whole("full-width-commas.csv", f"手机号，短信内容\n{A}，你好\n", "separated by ，: save the file with commas"),
    whole("forms.csv", f"Timestamp,Mobile number (with country code)\n2026,{A}\n", 'to="Mobile number (with country',
          "--text", "Hi"),
    whole("no-number.csv", "Name,Town\nAna,Durban\n", "that of the numbers: --column to=HEADER", "--text", "Hi"),
    whole("title-above.xlsx", workbook(row(1, text("A1", "Customers")) + HEADER.replace('"1"', '"3"').replace(
          "A1", "A3").replace("B1", "B3") + row(4, number("A4", A), text("B4", "Hello"))), "the header is in row 3"),
    whole("numbers-app.xlsx", workbook(row(1, text("A1", "This document was exported from Numbers.")),
          HEADER + row(2, number("A2", A), text("B2", "Hello")), names=("Export Summary", "Sheet 1 - Table 1")),
          'not "Sheet 1 - Table 1": choose another with --sheet'),
    # what programs write instead of values
    mixed("junk.csv", f"to,First Name\n{A},#N/A\n{B},nan\n{C},NULL\n27831230004,\\N\n27831230005,Null\n"
                      "27831230006,Nan\n",
          tuple((n, "instead of a value") for n in range(1, 6)), (("27831230006", "Hi Nan"),), *NAMED),
    mixed("javascript.csv", f"to,text\n{A},undefined\n{B},Dear [object Object]\n{C},Hello\n",
          ((1, "undefined instead"), (2, "[object Object] was not")), ((C, "Hello"),)),
    mixed("left-over.csv", f"to,text\n{A},Dear {{name}}\n{B},Dear *|FNAME|*\n{C},Dear {{{{ contact.first_name }}}}\n",
          ((1, "{name} was not filled in"), (2, "*|FNAME|* was not"), (3, "was not filled in"))),
    mixed("excel-error.csv", f'to,text\n{A},"Dear #REF!, hello"\n{B},#NV\n{C},We are #1!\n',
          ((1, "#REF!"), (2, "#NV")), ((C, "We are #1!"),)),
    mixed("empty-name.csv", f"to,First Name\n{A},\n{B},Ana\n", ((1, "has no value"),), ((B, "Hi Ana"),), *NAMED),
    mixed("scientific.csv", f'to;text\n"2,78E+10";Hello\n{A};Hello\n', ((1, "scientific notation"),), HI),
    mixed("two-numbers.csv", f"to,text\n{A} / {B},Hello\n{C},Hi\n", ((1, "two numbers"),), ((C, "Hi"),)),
    mixed("twice.csv", f"to,text\n{A},Hello\n+27 83 123 0001,Hello\n{B},Hi\n", ((2, "as in row 1"),), TWO),
    good("sent-twice.csv", f"to,text\n{A},Hello\n{A},Hello\n", ((A, "Hello"), (A, "Hello")), "--duplicates", "send"),
    mixed("not-filled-in.csv", f"to,text\n{A},Dear [First Name]\n{B},Dear %FNAME%\n{C},Dear %%first%%\n"
                               f"27831230004,Dear <Name>\n27831230005,[ACME] 5% off%\n",
          tuple((n, "was not filled in") for n in range(1, 5)), (("27831230005", "[ACME] 5% off%"),)),
    mixed("converted-twice.csv", f"to,text\n{A},GrÃ¼ÃŸe\n{B},São Paulo: não é Ã\n", ((1, "UTF-8 twice: üß"),),
          ((B, "São Paulo: não é Ã"),)),
    mixed("cyrillic-twice.csv", f"to,text\n{A},{'Привет'.encode().decode('cp1252', 'ignore')}\n",
          ((1, "UTF-8 twice"),)),
    good("capitals.csv", f"to,text\n{A},CAFÉ\u00a0: “ICI” AMANHÃ… NÃ”\n", ((A, "CAFÉ\u00a0: “ICI” AMANHÃ… NÃ”"),)),
    mixed("quote-that-swallows.csv", f'to,text\n{A},"Hello\n{B},Hi\n{C},Screen 40"\n', ((1, "a row of its own"),)),
    good("number-in-text.csv", f'to,text\n{A},"Call\n{B}, or 24.12.2026,9:30"\n',
         ((A, f"Call\n{B}, or 24.12.2026,9:30"),)),
    mixed("report-without-its-columns.csv", f"to,text\n'+{A},'-50% today\n'+{B},'- so it is' she said\n",
          ((1, "an apostrophe before '-'"),), ((B, "'- so it is' she said"),)),
    mixed("report-in-capitals.csv", f"to,text,LINE,Code,Remedy,\n'+{A},'-50% today,2,101,x,\n", (),
          ((A, "-50% today"),)),
    # workbooks
    good("sheet.xlsx", _BIG),
    good("typed.xlsx", workbook(HEADER + row(2, number("A2", A), number("B2", "0.30000000000000004"))), ((A, "0.3"),)),
    mixed("hidden-row.xlsx", workbook(HEADER + row(2, number("A2", A), text("B2", "Hello"))
                                      + row(3, number("A3", B), text("B3", "Hi"), more='hidden="1"')),
          ((2, "hidden"),), HI),
    mixed("uncalculated.xlsx", workbook(HEADER + row(2, number("A2", A), text("B2", "Hello"))
                                        + row(3, number("A3", B), '<c r="B3"><f>A1&amp;"x"</f><v></v></c>')),
          ((2, "a formula without a result"),), HI),
    mixed("xlsxwriter.xlsx", _RECALCULATED, ((1, "a formula without a result in B2"),), ((B, "Hi"),)),
    whole("formula-without-place.xlsx", workbook(_FORMULAS.replace('<c r="B2">', "<c>"), more=_ON_LOAD),
          "a formula without a result"),
    mixed("height-0.xlsx", workbook(HEADER + row(2, number("A2", A), text("B2", "Hello"))
                                    + row(3, number("A3", B), text("B3", "Hi"), more='ht="0" customHeight="1"')),
          ((2, "hidden"),), HI),
    good("zero-height.xlsx", workbook("", parts={"xl/worksheets/sheet1.xml": _ZERO_HEIGHT})),  # rows that exist show
    whole("strict.xlsx", _STRICT, "save it as Excel Workbook (.xlsx), without Strict"),
    whole("entities-elsewhere.xlsx", _ELSEWHERE, "declares entities"),
    good("blank-first-sheet.xlsx", workbook("", HEADER + row(7, number("A7", A), text("B7", "Hello")))),
    good("chosen-sheet.xlsx", workbook(HEADER + row(2, number("A2", B), text("B2", "Hi")),
                                       HEADER + row(2, number("A2", A), text("B2", "Hello")), names=("Old", "New")),
         HI, "--sheet", "new"),
    good("hidden-sheet.xlsx", workbook(HEADER + row(2, number("A2", B), text("B2", "Hi")),
                                       HEADER + row(2, number("A2", A), text("B2", "Hello")),
                                       states=("hidden", "visible"))),
    whole("no-such-sheet.xlsx", _BIG, "no such sheet", "--sheet", "June"),
    whole("entities.xlsx", workbook(HEADER, parts={"xl/worksheets/sheet1.xml": _ENTITY + sheet("")}),
          "declares entities"),
    whole("cut-off.xlsx", _BIG[: len(_BIG) // 2], "damaged"),
    # other formats
    whole("old.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600, ".xls file"),
    whole("page.xls", "<html><table><tr><td>to</td></tr></table></html>", "web page"),
    whole("calc.ods", archive(_OPEN_DOCUMENT), ".ods"),
    whole("apple.numbers", archive({"Index/Document.iwa": ""}), "Apple Numbers"),
    whole("list.zip", archive({"people.csv": ""}), ".zip archive"),
    whole("list.pdf", b"%PDF-1.7\n", "PDF"),
    whole("iphone.vcf", f"BEGIN:VCARD\nVERSION:3.0\nTEL:{A}\nEND:VCARD\n", "vCards"),
    whole("dump.sql", "-- phpMyAdmin SQL Dump\nINSERT INTO people VALUES (1);\n", "dump of a database"),
    whole("array.json", f'[{{"to": "{A}", "text": "Hello"}}]', "jq -c '.[]'"),
    whole("pretty.json", f'{{\n  "to": "{A}",\n  "text": "Hello"\n}}\n', "several lines"),
    good("lines.jsonl", f'{{"Phone": "{A}", "message": "Hello", "id": 7}}\n'),
    good("lines.txt", f'{{"to": "{A}", "text": "Hello"}}\n\n{{"to": "{B}", "text": "Hi"}}\n', TWO),
    good("powershell.jsonl", f'{{"to": "{A}", "text": "Grüße"}}\r\n'.encode("utf-16"), ((A, "Grüße"),)),
)  # fmt: skip

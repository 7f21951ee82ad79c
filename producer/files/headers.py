"""Headers: which column holds which field, in any case, by the names that people and programs give to columns."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from threelane.contract.fields import BY_SPELLING
from threelane.producer.files.row import COUNTRY, EMPTY, How, InvalidFile

# fmt: off
SYNONYMS: Mapping[str, tuple[str, ...]] = {
    "to": (
        "recipient", "recipients", "phone", "phone number", "mobile", "mobile number", "mobile phone", "msisdn", "cell",
        "cellphone", "cell number", "gsm", "gsm number", "sms number", "destination", "destination number", "handset",
        "phone e164", "phone 1 value", "phone 2 value", "phone 3 value", "tel", "telephone", "contact", "whatsapp",
        "telefon", "telefonnummer", "handy", "handynummer", "rufnummer", "mobil", "mobilnummer", "mobiltelefon",
        "empfänger", "téléphone", "numéro", "numéro de téléphone", "portable", "destinataire", "téléphone portable",
        "teléfono", "número", "número de teléfono", "móvil", "celular", "destinatario", "telefone", "telemóvel",
        "número de telefone", "destinatário", "telefono", "cellulare", "numero di telefono", "telefoon", "ontvanger",
        "telefoonnummer", "mobiel", "mobiel nummer", "selfoon", "selfoonnommer", "simu", "nambari ya simu",
        "telefonnr", "mobiltelefonnummer", "puhelin", "puhelinnumero", "telefon numarası", "cep", "cep telefonu",
        "numer telefonu", "telefon komórkowy", "telefonní číslo", "телефон", "номер", "номер телефона", "мобильный",
        "получатель", "мобильный телефон", "номер телефону", "τηλέφωνο", "κινητό", "טלפון", "נייד", "الهاتف",
        "رقم الهاتف", "الجوال", "رقم الجوال", "फ़ोन", "मोबाइल", "手机", "手机号", "手机号码", "电话", "电话号码", "手機",
        "電話", "電話番号", "携帯電話", "携帯番号", "전화번호", "휴대폰", "휴대폰번호",
    ),
    "text": (
        "message", "sms", "body", "content", "msg", "sms text", "message text", "message body", "text message",
        "nachricht", "sms nachricht", "texte", "contenu", "mensaje", "texto", "mensagem", "messaggio", "testo",
        "bericht", "tekst", "boodskap", "ujumbe", "meddelande", "besked", "melding", "viesti", "mesaj", "metin",
        "wiadomość", "treść", "zpráva", "сообщение", "текст", "текст сообщения", "повідомлення", "μήνυμα", "הודעה",
        "الرسالة", "نص الرسالة", "संदेश", "短信", "短信内容", "内容", "消息", "本文", "メッセージ", "메시지", "내용",
    ),
    "from": ("sender id", "originator", "absender", "expéditeur", "remitente", "remetente", "mittente", "отправитель"),
    "country": ("country code iso", "iso country", "country iso"),
}
# fmt: on
"""Names of columns besides those of docs/fields.md, which count in any case as well."""

EXACT_ONLY = frozenset(
    {
        "type",
        "from",
        "from_",
        "sender",
        "validity",
        "escalate",
        "channel",
        "queue",
        "delay",
        "callback",
        "mo",
        "unicode",
        "binary",
        "data",
        "charset",
        "message_class",
        "scheduled_time",
        "tags",
        "batch",
        "producer",
        "template",
        "values",
    }
)
"""Names of fields that address books give to other things in another case: ``Type`` is ``Customer``."""

REPORT = ("line", "code", "problem", "remedy")
"""The last columns of a report of refused rows."""

MOST_COLUMNS = 16_384  # a spreadsheet has no more
_NUMBER = re.compile(
    r"(to|recipient|msisdn|handset|whatsapp|mobile|cell|tel|contact|(mobile|cell|tele|contact)?phone|number)(number|no)?"
)
_RIVAL = re.compile(r"phone|mobile|cell(?!ar)|\btel\b|telefon|landline|whatsapp|msisdn|number\W*\d", re.IGNORECASE)
_NO_RIVAL = re.compile(
    r"type|label|code|country|status|consent|opt|verif|valid|provider|carrier|network|model|ext|date|time|name|note",
    re.IGNORECASE,
)
_MOST_SHOWN = 12
_OTHER_COMMAS = "，；、،؛"
_MARK_TWICE = "ï»¿"


def key(name: str) -> str:
    """Return a name without case, accents, spaces, signs and invisible characters, by which names are compared."""
    letters = unicodedata.normalize("NFKD", name.casefold())
    return "".join(letter for letter in letters if letter.isalnum())


def shown(name: str) -> str:
    """Return a header as it is typed after an option."""
    plain = " ".join("".join(letter if letter.isprintable() else " " for letter in name).split())[:40]
    return f'"{plain}"' if re.search(r"\W", plain) or not plain else plain


_WITH_UNDERSCORE = {name: name for name in EXACT_ONLY if "_" in name.strip("_")}  # no name of an address book
_EXACT = {*BY_SPELLING, COUNTRY} - {"content"}  # a synonym of text, as others in any case
_BY_KEY = {key(name): name for name in reversed([*BY_SPELLING, COUNTRY]) if name not in EXACT_ONLY} | {
    key(synonym): field for field, synonyms in SYNONYMS.items() for synonym in synonyms
}


def is_number_column(name: str) -> bool:
    """Return whether the name of a column is one that people give to numbers."""
    found = key(name)
    return _BY_KEY.get(found) == "to" or _NUMBER.fullmatch(found) is not None


def field_of(name: str) -> str:
    """Return the field whose name a column has, or ""."""
    if name in _EXACT or (name := _WITH_UNDERSCORE.get(name.lower(), name)) in _EXACT:
        return name
    return "to" if is_number_column(name) else _BY_KEY.get(key(name), "")


class Columns(NamedTuple):
    """What is read of each row: pairs of a column's index and its name in the content, and what is left out.

    ``unnamed`` are columns that may hold the rest of a text with a comma: those behind it, without a name.
    """

    header: tuple[str, ...]
    read: tuple[tuple[int, str], ...]
    ignored: tuple[str, ...]
    unnamed: frozenset[int]


def assign(header: Sequence[str], how: How, *, complete: bool = True) -> Columns:
    """Return the columns of a file; raises InvalidFile if one is missing, or if two could be meant.

    What is missing from a single object (``complete`` is False) is found when its row is read.
    """
    names = tuple(clean(name) for name in header)
    if not any(names):
        raise InvalidFile(EMPTY)
    if len(names) > MOST_COLUMNS:
        raise InvalidFile(f"{len(names):,} columns, more than the {MOST_COLUMNS:,} of a spreadsheet: not a table")
    given = {
        _canonical(target): _given(target, title, names, complete=complete) for target, title in how.columns.items()
    }
    wanted = [(_placeholder(name, names, given), name) for name in dict.fromkeys(how.wanted)]
    if complete and (missing := next((name for index, name in wanted if index is None), None)):
        raise InvalidFile(f"the text needs the column {{{missing}}}; the file has {listed(names)}")
    placeholders = [(index, name) for index, name in wanted if index is not None]
    fields = _fields(names, how, given, {index for index, _ in placeholders}, complete=complete)
    read = dict.fromkeys([*((index, target) for target, index in fields.items()), *placeholders])
    used = {index for index, _ in read}
    first = min(fields["text"] if "text" in fields else min(used, default=0), len(names))
    ignored = tuple(
        name or f"column {index + 1} without a name"
        for index, name in enumerate(names)
        if index not in used and (name or index < first)
    )
    unnamed = frozenset(index for index, name in enumerate(names) if not name and index not in used and index >= first)
    return Columns(names, tuple(read), ignored, unnamed)


def clean(name: str) -> str:
    """Return a header without the spaces and invisible characters that programs leave in it."""
    visible = "".join(letter for letter in name if unicodedata.category(letter) not in ("Cf", "Cc") or letter in "\t\n")
    return " ".join(visible.split())


def _canonical(target: str) -> str:
    """Return the name of a field for one of its spellings; names of placeholders stay."""
    return BY_SPELLING[target].name if target in BY_SPELLING else target


def _given(target: str, title: str, names: Sequence[str], *, complete: bool) -> int | None:
    if not title.strip():
        return None
    same = [index for index, name in enumerate(names) if name == clean(title)]
    same = same or [index for index, name in enumerate(names) if key(name) and key(name) == key(title)]
    if not same and not complete:
        return None
    if not same:
        raise InvalidFile(f"--column {target}={shown(title)}: no such column; the file has {listed(names)}")
    if len(same) > 1:
        raise InvalidFile(f"--column {target}={shown(title)}: {len(same)} columns have this name: rename one of them")
    return same[0]


def _placeholder(name: str, names: Sequence[str], given: Mapping[str, int | None]) -> int | None:
    chosen = given.get(name, given.get(_canonical(name)))
    if chosen is not None:
        return chosen
    found = [index for index, title in enumerate(names) if title == name]
    found = found or [index for index, title in enumerate(names) if key(title) == key(name) and key(name)]
    if len(found) > 1:
        first, second = (names[index] for index in found[:2])
        raise InvalidFile(
            f"two columns for {{{name}}}, {shown(first)} and {shown(second)}: choose one, as in "
            f"--column {shown(name)}={shown(first)}"
        )
    return found[0] if found else None


def _fields(
    names: Sequence[str],
    how: How,
    given: Mapping[str, int | None],
    placeholders: Collection[int],
    *,
    complete: bool,
) -> dict[str, int]:
    """Return the index of the column of each field, by the spelling under which its value is read."""
    found: dict[str, list[tuple[str, int]]] = {}
    for index, name in enumerate(names):
        spelling = field_of(name)
        if not spelling or (index in placeholders and name not in _EXACT and spelling != "to"):
            continue  # a column of the text that happens to be named almost as a field
        if _canonical(spelling) not in given and index not in given.values():
            found.setdefault(_canonical(spelling), []).append((spelling, index))
    fields = {name: index for name, index in given.items() if index is not None and name in {*BY_SPELLING, COUNTRY}}
    _require_one_number(names, found.pop("to", []), fields, placeholders, complete=complete)
    for field, candidates in found.items():
        if field == "text" and how.template and not any(name == "text" for name, _ in candidates):
            candidates = candidates[:1]  # reported below
        if len(candidates) > 1:
            (_, first), (_, second) = candidates[:2]
            raise InvalidFile(
                f"two columns for the field {field}, {shown(names[first])} and {shown(names[second])}: choose one, "
                f"as in --column {field}={shown(names[first])}"
            )
        fields[candidates[0][0]] = candidates[0][1]
    if "data" in fields and (how.template or "text" in fields):
        del fields["data"]  # a date, in several languages
    _require_one_text(names, how, fields, complete=complete)
    return fields


def _require_one_number(
    names: Sequence[str],
    candidates: Sequence[tuple[str, int]],
    fields: dict[str, int],
    placeholders: Collection[int],
    *,
    complete: bool,
) -> None:
    """Add the column of the recipient; raises InvalidFile unless there is exactly one that can be meant."""
    if "to" in fields:
        return
    outside = [index for _, index in candidates if index not in placeholders]
    found = outside or [index for _, index in candidates]
    exact = [index for index in found if names[index] == "to"]
    rivals = [] if exact else [index for index, name in enumerate(names) if index not in found and _may_be_number(name)]
    rivals = [index for index in rivals if index not in placeholders]
    if found and len(found) + len(rivals) > 1:
        first, second = (names[index] for index in [*found, *rivals][:2])
        raise InvalidFile(
            f"two columns of numbers, {first[:30]} and {second[:30]}: choose the one to send to, as in "
            f"--column to={shown(second if first == 'to' else first)}"
        )
    if found:
        fields["to"] = found[0]
    elif complete:
        raise InvalidFile(_no_recipient(names, rivals))


def _no_recipient(names: Sequence[str], rivals: Sequence[int]) -> str:
    digits = next((name for name in names if sum(map(str.isdigit, name)) >= 7 and not any(map(str.isalpha, name))), "")
    if digits:
        return f"the first row has the number {digits[:20]} instead of names: write a header above it, as in to,text"
    if found := next((sign for sign in _OTHER_COMMAS if any(sign in name for name in names)), ""):
        return f"the columns are separated by {found}: save the file with commas or semicolons instead"
    if any(name.startswith(_MARK_TWICE) for name in names):
        return f"the header begins with {_MARK_TWICE}: the file was converted to UTF-8 twice. Export it again as UTF-8"
    given = [names[index] for index in rivals] or [name for name in names if _RIVAL.search(name)]
    which = f"the column, as in --column to={shown(given[0])}" if given else "that of the numbers: --column to=HEADER"
    return f"the column to is missing, for the recipient; the file has {listed(names)}. Name {which}"


def _require_one_text(names: Sequence[str], how: How, fields: Mapping[str, int], *, complete: bool) -> None:
    has_text = bool({"text", "binary", "data", "template"} & set(fields))
    if how.template and "text" in fields:
        title = names[fields["text"]]
        raise InvalidFile(
            f"the column {'text' if title == 'text' else shown(title)} and a text for all rows: give one of them, or "
            "give --column text= to ignore the column"
        )
    if complete and not how.template and not has_text:
        raise InvalidFile(
            f"the column text is missing; the file has {listed(names)}. Name it, as in --column text=Message, or give "
            "one text for all rows with --text"
        )


def _may_be_number(name: str) -> bool:
    """Return whether a column may hold another number of the same person, as ``Home phone``."""
    return bool(_RIVAL.search(name)) and not _NO_RIVAL.search(name) and not field_of(name)


def report_start(header: Sequence[str]) -> int | None:
    """Return where the columns of a report of refused rows begin, whose cells are escaped; None in another file.

    They are the last ones with a name, in any case; one of them may have been deleted.
    """
    names = [clean(name).casefold() for name in header]
    while names and not names[-1]:
        names.pop()
    for absent in ("", *REPORT):
        wanted = [name for name in REPORT if name != absent]
        if len(names) > len(wanted) and names[-len(wanted) :] == wanted:
            return len(names) - len(wanted)
    return None


def listed(names: Iterable[str]) -> str:
    """Return headers as a list, at most a dozen."""
    given = [name for name in names if name]
    more = f" and {len(given) - _MOST_SHOWN} more" if len(given) > _MOST_SHOWN else ""
    return ", ".join(shown(name) for name in given[:_MOST_SHOWN]) + more

"""A reply: a person's text as the control API accepts it, and its parts."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Final

import msgspec

from threelane.sandbox import text
from threelane.sandbox.apis import CENTRAL, ApiName, CallbackForm

_MOST_PARTS: Final = 255  # the header counts parts in one octet
_Number = Annotated[str, msgspec.Meta(pattern="^[0-9]+$", max_length=32)]
_Sender = Annotated[str, msgspec.Meta(pattern="^[0-9A-Za-z][0-9A-Za-z .&_-]*$", max_length=32)]
_Count = Annotated[int, msgspec.Meta(ge=1, le=_MOST_PARTS)]


class Charset(StrEnum):
    """The charsets observed for the text of a reply."""

    UTF_8 = "UTF-8"
    LATIN_1 = "ISO-8859-1"
    UTF_16 = "UTF-16BE"


_FORMS: Final[dict[ApiName, tuple[CallbackForm, ...]]] = {  # the first is the API's default
    ApiName.HTTP: (CallbackForm.POST, CallbackForm.GET, CallbackForm.XML, CallbackForm.JSON),
    ApiName.REST: (CallbackForm.POST, CallbackForm.GET, CallbackForm.XML, CallbackForm.JSON),
    ApiName.XML: (CallbackForm.XML, CallbackForm.POST, CallbackForm.GET, CallbackForm.JSON),
    ApiName.PLATFORM: (CallbackForm.JSON, CallbackForm.GET),
    ApiName.ONE: (CallbackForm.JSON,),
}


class HandsetReply(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One text of a person, and how to deliver it; an invalid combination is refused when it is parsed."""

    sender: _Sender = msgspec.field(name="from")
    to: _Number
    text: str
    api: ApiName = ApiName.HTTP
    form: CallbackForm | None = None  # None is the API's default
    charset: Charset | None = None  # None is the gateway's choice
    network: str = ""
    related: str = ""  # the gateway id of the message replied to
    parts: _Count | None = None  # None is as many as needed
    reference: Annotated[int, msgspec.Meta(ge=0, le=255)] | None = None  # of the parts; None picks one at random
    shuffle: bool = False
    drop_part: _Count | None = None  # the part, counted from 1, that never arrives
    repeat: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    opts_out: bool = True  # keywords also change the gateway's own list of barred numbers

    def __post_init__(self) -> None:
        if self.form and self.form not in _FORMS[self.api]:
            raise ValueError(f"form: {self.api} supports {', '.join(_FORMS[self.api])}")
        try:
            self.text.encode(self.carried_in)
        except UnicodeEncodeError:
            raise ValueError(f"charset: {self.carried_in} cannot encode a character of the text") from None
        self._check_parts()

    def _check_parts(self) -> None:
        needed = len(self._natural_cut())
        if self.api is ApiName.ONE and (self.parts or self.drop_part or self.reference is not None):
            raise ValueError("parts: the One API does not split a text into parts")
        if needed > _MOST_PARTS:
            raise ValueError(f"text: longer than {_MOST_PARTS} parts")
        if self.parts and not needed <= self.parts <= max(len(self.text), 1):
            raise ValueError(f"parts: this text needs {needed} to {max(len(self.text), 1)}")
        if self.drop_part and self.drop_part > (self.parts or needed):
            raise ValueError("drop_part: there is no such part")

    @property
    def carried_as(self) -> CallbackForm:
        """Returns the form of its callbacks."""
        return self.form or _FORMS[self.api][0]

    @property
    def carried_in(self) -> Charset:
        """Returns the charset: for a Central form the one that matches the SMS encoding, else UTF-8."""
        if self.charset:
            return self.charset
        if self.api not in CENTRAL or self.carried_as in (CallbackForm.XML, CallbackForm.JSON):
            return Charset.UTF_8
        if not _is_gsm(self.text):
            return Charset.UTF_16
        return Charset.LATIN_1 if all(letter <= "\xff" for letter in self.text) else Charset.UTF_8

    def cut(self) -> list[str]:
        """Returns the texts of its parts: as many as needed, or, for more, the longest halved repeatedly."""
        if self.api is ApiName.ONE:
            return [self.text]
        pieces = self._natural_cut()
        while self.parts and len(pieces) < self.parts:
            longest = max(range(len(pieces)), key=lambda place: len(pieces[place]))
            half = len(pieces[longest]) // 2
            pieces[longest : longest + 1] = [pieces[longest][:half], pieces[longest][half:]]
        return pieces

    def _natural_cut(self) -> list[str]:
        return text.cut(self.text, as_ucs2=self.charset is Charset.UTF_16 or not _is_gsm(self.text))


@dataclass(slots=True)
class HandsetPart:
    """One part of a reply, with the results of its callbacks."""

    id: str
    text: str
    udh: str  # empty for a single part
    is_dropped: bool
    callbacks: int = 0  # queued; each is retried until acknowledged
    tally: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> dict[str, object]:
        """Returns the part as the control API shows it."""
        results = {name: self.tally[name] for name in ("acknowledged", "refused", "given_up")}
        return {"moMsgId": self.id, "text": self.text, "udh": self.udh, "callbacks": self.callbacks, **results}


def _is_gsm(content: str) -> bool:
    return text.deliverable(content) == content

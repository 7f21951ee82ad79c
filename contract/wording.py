"""Wording: what an operator's settings make of the text of a message: stored templates and opt-out lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from threelane.contract.opt_out_line import OptOutLine
from threelane.contract.refusal import Code, Refusal


class Filled(NamedTuple):
    """The text of a template with its values, and the template's name and version: ``order-shipped@2``."""

    text: str
    template: str


class Wording:
    """The templates and opt-out lines that are known; this one has none."""

    has_lines = False  # any at all: otherwise no message is compared with them

    def fill(self, reference: str, values: Mapping[str, str], spelt: Mapping[str, str]) -> Filled | Refusal:
        """Return the text of a stored template; ``spelt`` has the caller's names of the fields."""
        del values
        return Refusal(
            code=Code.INVALID,
            field=spelt.get("template", "template"),
            problem=f"no template is stored as {reference!r}",
            remedy="threelane template list shows them; an operator stores one: threelane template put NAME",
        )

    def line(self, lane: int, tags: Sequence[str]) -> OptOutLine | Refusal | None:
        """Return the opt-out line of a message with a text, None without one."""
        del lane, tags
        return None


PLAIN = Wording()

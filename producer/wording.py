"""Wording: the stored templates and opt-out lines that a process knows; each is read again after a minute."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import redis

from threelane.contract import template_fields
from threelane.contract.opt_out_line import OptOutLine, OptOutLines
from threelane.contract.refusal import Code, Owner, Refusal, invalid
from threelane.contract.wording import Filled, Wording
from threelane.producer.files.junk import junk_in
from threelane.producer.files.template import InvalidTemplate, Template, parse
from threelane.producer.outage import call
from threelane.store import opt_out_lines, templates
from threelane.store.templates import StoredTemplate

FRESH_MS = 60_000  # how long a template or the lines are used before they are read again
_MOST = 1_000  # templates that are remembered


class _Known(NamedTuple):
    """A template, when it was read (ms), and its parsed text; None if the stored text is damaged."""

    read_at: int
    stored: StoredTemplate
    parsed: Template | None


class StoredWording(Wording):
    """The templates and opt-out lines in Redis; threads may share it."""

    def __init__(self) -> None:
        """Know none."""
        self._templates: dict[str, _Known] = {}
        self._lines = OptOutLines()
        self._lines_at = 0

    def learn(self, window: Iterable[Any], connection: Callable[[], redis.Redis], now: int) -> None:
        """Read the opt-out lines, and the templates of messages, unless they were read in the last minute.

        Raises Unavailable, so it is called before any of the messages is accepted.
        """
        if now - self._lines_at >= FRESH_MS:
            self._lines, self._lines_at = call(lambda: opt_out_lines.read(connection())), now
            self.has_lines = bool(self._lines.by_scope or self._lines.unreadable)
        named = {raw["template"] for raw in window if _names_template(raw)}
        parsed = (template_fields.parse_reference(one, "template") for one in named)
        unknown = [one for one in parsed if not isinstance(one, Refusal) and not self._is_fresh(one, now)]
        if unknown:
            self._read(unknown, connection, now)

    def fill(self, reference: str, values: Mapping[str, str], spelt: Mapping[str, str]) -> Filled | Refusal:
        """Return the text of a stored template with its values; each placeholder needs one, and no other is taken."""
        known = self._templates.get(reference)
        if known is None:
            return super().fill(reference, values, spelt)
        name = known.stored.reference
        if known.parsed is None:
            return _damaged(name, spelt)
        if refusal := _mismatch(name, known.parsed, values, spelt.get("values", "values")):
            return refusal
        text = known.parsed.fill(values)
        return text if isinstance(text, Refusal) else Filled(text, name)

    def line(self, lane: int, tags: Sequence[str]) -> OptOutLine | Refusal | None:
        """Return the opt-out line of a message, None without one."""
        return self._lines.applying(lane, tags)

    def _is_fresh(self, reference: str, now: int) -> bool:
        known = self._templates.get(reference)
        return known is not None and now - known.read_at < FRESH_MS

    def _read(self, references: Sequence[str], connection: Callable[[], redis.Redis], now: int) -> None:
        """Read templates; one that is not stored is looked for again with the next message that names it."""
        found = call(lambda: templates.find(connection(), references))
        if len(self._templates) + len(references) > _MOST:
            by_age = sorted(self._templates, key=lambda name: self._templates[name].read_at)
            self._templates = {name: self._templates[name] for name in by_age[_MOST // 2 :]}
        for reference, stored in zip(references, found, strict=True):
            if stored is None:
                self._templates.pop(reference, None)
            else:
                self._templates[reference] = _Known(now, stored, _parsed(stored))


def _names_template(raw: Any) -> bool:
    if type(raw) is not dict and not isinstance(raw, Mapping):  # the latter is slow
        return False
    return "template" in raw and isinstance(raw["template"], str)


def _parsed(stored: StoredTemplate) -> Template | None:
    try:
        return None if stored.is_damaged else parse(stored.text)
    except InvalidTemplate:
        return None


def _mismatch(name: str, template: Template, values: Mapping[str, str], field: str) -> Refusal | None:
    """Return the refusal of a value that is missing, or that the template does not have."""
    wanted = dict.fromkeys(template.names)
    listed = ", ".join(f"{{{one}}}" for one in wanted) or "no placeholder"
    if missing := next((one for one in wanted if one not in values), None):
        return invalid(f"{field}.{missing}", f"the template {name} needs {{{missing}}}", "also give its value")
    if junk := next((one for one in values if junk_in(values[one])), None):
        found = ascii(junk_in(values[junk]))[1:-1]
        return invalid(f"{field}.{junk[:40]}", f"{found} instead of a value", "give the value")
    if extra := next((one for one in values if one not in wanted), None):
        return invalid(
            f"{field}.{extra[:40]}", f"the template {name} has {listed}", "leave this value out, or correct its name"
        )
    return None


def _damaged(name: str, spelt: Mapping[str, str]) -> Refusal:
    return Refusal(
        code=Code.INVALID,
        field=spelt.get("template", "template"),
        problem=f"the stored template {name} is damaged, so nothing is sent with it",
        remedy="ask an operator to remove it and to store it again: threelane template put NAME",
        owner=Owner.OPERATOR,
    )

"""Numbers in the arguments of commands: read as the installation reads numbers."""

from __future__ import annotations

from threelane.contract import phone
from threelane.contract.phone import Msisdn
from threelane.contract.reading import Reading, parse_reading
from threelane.contract.refusal import Refusal
from threelane.interfaces.command.printing import wrong_usage
from threelane.runtime.settings import Settings, load_or_exit


def number(raw: str, name: str = "") -> Msisdn:
    """Return the number in an argument or option; ends the command if it is none, or has two readings."""
    parsed = phone.parse(raw, name, reading())
    if isinstance(parsed, Refusal):
        wrong_usage(f"{name}: {parsed.problem}; {parsed.remedy}".removeprefix(": "))
    return parsed


def reading() -> Reading:
    """Return how the installation reads numbers without + or 00."""
    return load_or_exit(Settings).reading


def named_reading(text: str) -> str:
    """Return a reading as it is stored, "" for none or ``default``; ends the command if there is no such reading."""
    if text.strip().lower() in ("", "default"):
        return ""
    try:
        return str(parse_reading(text, load_or_exit(Settings).country))
    except ValueError as wrong:
        wrong_usage(f"--numbers: {wrong}")

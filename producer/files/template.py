"""Template: a text with {placeholders} for columns of a file; strict, so that nobody gets "Dear ,"."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from threelane.contract.refusal import Refusal, invalid

_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


class InvalidTemplate(Exception):
    """The template is invalid; the text has the position and the correct form."""


class Template(NamedTuple):
    """Alternating literals and names of columns, starting and ending with a literal."""

    literals: tuple[str, ...]
    names: tuple[str, ...]

    def fill(self, row: Mapping[str, Any]) -> str | Refusal:
        """Return the text for a row; a missing or empty value is refused."""
        text = self.literals[0]
        for name, literal in zip(self.names, self.literals[1:], strict=True):
            value = row.get(name)
            if isinstance(value, bool | list | dict):
                return invalid(name, f"a {type(value).__name__} cannot be part of a text", "give a string or a number")
            if value is None or not str(value).strip():
                return invalid(
                    name, f"the text needs {{{name}}}, and the row has no value", "give a value, or remove the row"
                )
            text += str(value) + literal
        return text


def parse(text: str) -> Template:
    """Parse a template; ``{{`` and ``}}`` stand for braces.  Raises InvalidTemplate."""
    literals, names, at = [""], [], 0
    for token in _TOKEN.finditer(text):
        literals[-1] += text[at : token.start()]
        at = token.end()
        if token[0] in ("{{", "}}"):
            literals[-1] += token[0][0]
        elif token[1] is not None and (name := token[1].strip()):
            names.append(name)
            literals.append("")
        else:
            raise InvalidTemplate(
                f"{token[0]!r} at character {token.start() + 1}: write {{name}} for a column, {{{{ or }}}} for a brace"
            )
    literals[-1] += text[at:]
    return Template(tuple(literals), tuple(names))

"""APIs: the table of docs/gateways.md, written from what gateways declare.

``python -m threelane.operations.apis`` prints it; a test holds the page to it.
"""

from __future__ import annotations

from collections.abc import Iterator

from threelane.contract.gateways import declared
from threelane.operations.configuration import variable

_ABILITIES = {
    "many a request": "several messages per request",
    "look up by our id": "look-up by client message id",
    "cancel": "cancel",
    "cancel by our id": "cancel by client message id",
    "charge": "reports the charge",
}


def table() -> Iterator[str]:
    """Yield the table's lines."""
    yield f"| API | `THREELANE_GATEWAY` | credentials | {' | '.join(_ABILITIES.values())} |"
    yield "|---" * (3 + len(_ABILITIES)) + "|"
    for name, one in declared().items():
        credentials = ", ".join(f"`{variable(credential.name)}`" for credential in one.credentials)
        abilities = ("yes" if ability in one.abilities else "no" for ability in _ABILITIES)
        yield f"| {' | '.join((one.title, f'`{name}`', credentials, *abilities))} |"


def main() -> None:
    """Print the table."""
    print("\n".join(table()))


if __name__ == "__main__":
    main()

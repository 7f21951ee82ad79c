"""Command features: what each gateway API supports."""

from __future__ import annotations

from threelane.contract.gateways import ABILITIES, FEATURES, declared
from threelane.interfaces.command.printing import Json, out, print_json
from threelane.interfaces.command.terminal import Table


def features(as_json: Json = False) -> None:
    """Show how each gateway API supports each feature: by a parameter, through Threelane, or not at all."""
    rows = {
        feature: {name: one.parameter(feature) or None for name, one in declared().items()}
        for feature in FEATURES + ABILITIES
    }
    if as_json:
        print_json(rows)
        return
    table = Table("feature", *declared())
    for feature, row in rows.items():
        table.add_row(feature, *(parameter or "-" for parameter in row.values()))
    out.print(table)
    out.print("- : the API lacks it, so a message that uses it is refused at accept", highlight=False)

"""The table of countries that a dry run, a batch and a redrive print."""

from __future__ import annotations

from threelane.contract.prices import CREDIT
from threelane.interfaces.command.caller import out, print_line
from threelane.interfaces.command.terminal import Table
from threelane.producer.files.countries import Countries

MOST_SHOWN = 30  # countries in a table; --json prints all


def print_countries(countries: Countries) -> None:
    """Print messages, parts and estimated credits by country, the most expensive first."""
    found = countries.by_cost()
    if not found:
        return
    table = Table("country", "messages", "parts", "credits, about")
    for country, one in list(found.items())[:MOST_SHOWN]:
        table.add_row(country, f"{one.messages:,}", f"{one.parts:,}", f"{one.estimate_millionths / CREDIT:,.2f}")
    out.print(table)
    if len(found) > MOST_SHOWN:
        print_line(f"and {len(found) - MOST_SHOWN} more countries: --json prints all")

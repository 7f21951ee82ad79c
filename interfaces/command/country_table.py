"""The table of countries that a dry run, a batch and a redrive print."""

from __future__ import annotations

from threelane.interfaces.command.printing import out
from threelane.interfaces.command.terminal import Table
from threelane.interfaces.command.values import credits
from threelane.producer.files.countries import Countries


def print_countries(countries: Countries) -> None:
    """Print messages, parts and estimated credits by country, the most expensive first."""
    found = countries.by_cost()
    if not found:
        return
    table = Table("country", "messages", "parts", "credits, about")
    for country, one in found.items():
        table.add_row(country, f"{one.messages:,}", f"{one.parts:,}", credits(one.estimate_millionths))
    out.print(table)  # whole: the few messages to a country that nobody expected are what it is for

"""Commands for the countries that messages were sent to: list, allow, watch."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from threelane.contract.countries import describe, parse_countries
from threelane.interfaces.command.printing import Json, out, print_json, print_line, wrong_usage
from threelane.interfaces.command.query import now_of, with_redis
from threelane.interfaces.command.terminal import Table
from threelane.interfaces.command.values import shown_at
from threelane.store import countries

app = typer.Typer(
    help="Countries: the first message to each. One that nobody expected is an alarm for a day.", no_args_is_help=True
)


@app.command("list", epilog="Example: threelane countries list --json")
def show(as_json: Json = False) -> None:
    """List the countries that messages were sent to, the latest first, with the first message's time and producer."""
    found, until, now = with_redis(
        lambda client: (countries.read_all(client), countries.learning_until(client), now_of(client))
    )
    if as_json:
        rows = [
            {"country": name, "first": one.first, "producer": one.producer, "state": one.state}
            for name, one in found.items()
        ]
        print_json({"learning_until": until, "countries": rows})
        return
    table = Table("country", "first message", "producer", "state")
    for name, one in found.items():
        table.add_row(describe(name), shown_at(one.first) if one.first else "none yet", escape(one.producer), one.state)
    out.print(table if found else "no message was sent yet")
    if until > now:
        print_line(
            f"countries are learned without an alarm until {shown_at(until)}; end this: threelane countries watch"
        )


@app.command(epilog="Example: threelane countries allow ZA,NA")
def allow(
    listed: Annotated[str, typer.Argument(metavar="COUNTRIES", help="The countries, as in ZA,NA.")],
) -> None:
    """Note that messages to these countries are expected: they raise no alarm, and their alarms end."""
    names = parse(listed)
    if not names:
        wrong_usage("name the countries, as in ZA,NA")
    with_redis(lambda client: countries.allow(client, names))
    print_line(f"expected: {', '.join(map(describe, names))}")


@app.command(epilog="Example: threelane countries watch")
def watch() -> None:
    """End the time of learning: from now on, each new country raises the alarm."""
    with_redis(lambda client: countries.stop_learning(client, now_of(client)))
    print_line("each country that was never sent to raises the alarm from now on")


def parse(listed: str) -> tuple[str, ...]:
    """Return the countries of an option; ends the command for an unknown one."""
    try:
        return parse_countries(listed)
    except ValueError as wrong:
        wrong_usage(str(wrong))

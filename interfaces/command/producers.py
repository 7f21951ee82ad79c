"""Commands for producers: rights, webhooks and undelivered events; and the dispatcher."""

from __future__ import annotations

from typing import Annotated, Any, NoReturn

import redis
import typer
from rich.markup import escape

from threelane.contract.countries import join
from threelane.contract.duration import HOUR_SECONDS
from threelane.interfaces.command import countries as cli_countries
from threelane.interfaces.command import keys as cli_keys
from threelane.interfaces.command.numbers import named_reading
from threelane.interfaces.command.printing import Json, not_found, out, print_json, print_line, wrong_usage
from threelane.interfaces.command.query import now_of, with_redis
from threelane.interfaces.command.secret_output import HOUR, MOST_HOURS
from threelane.interfaces.command.terminal import Table
from threelane.interfaces.command.values import duration_in, shown_at
from threelane.runtime.settings import load_or_exit
from threelane.store import access, registry
from threelane.worker.process.settings import WebhookSettings
from threelane.worker.webhooks import undelivered as laid_aside

producers = typer.Typer(
    help="Producers: their rights, API keys and webhooks.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
producers.add_typer(cli_keys.app, name="key")
Name = Annotated[str, typer.Argument(help="The producer's name, as in its messages.")]


@producers.command("set", epilog="Example: threelane producers set shop --webhook https://shop.example/threelane")
def set_producer(
    name: Name,
    webhook: Annotated[str | None, typer.Option(help="Address for its events: https://...")] = None,
    no_webhook: Annotated[bool, typer.Option("--no-webhook", help="Stop posting events.")] = False,
    bypass: Annotated[
        bool | None,
        typer.Option("--bypass/--no-bypass", help="Right to bypass opt-outs: legal notices, bypass_dnc."),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0, help="Messages and other requests per second of all its keys; 0: no limit.")
    ] = None,
    numbers: Annotated[
        str | None,
        typer.Option(
            help="How its numbers without + or 00 are read: international, national:ZA, e164; "
            "default: as the installation's."
        ),
    ] = None,
    countries: Annotated[
        str | None, typer.Option(help="The countries that it may send to, as in ZA,NA; any: no limit.")
    ] = None,
    new_secret: Annotated[bool, typer.Option("--new-secret", help="Create a new signing secret.")] = False,
    overlap: Annotated[
        float,
        typer.Option(
            metavar="DURATION",
            parser=duration_in(HOUR_SECONDS, most=MOST_HOURS),
            help="With --new-secret: how long the earlier secret signs as well, as in 2h or 1 day.",
        ),
    ] = 0,
    as_json: Json = False,
) -> None:
    """Register a producer, or change only the given settings. A new secret is printed once."""
    if webhook is not None and no_webhook:
        wrong_usage("give either --webhook or --no-webhook")
    if webhook == "":
        wrong_usage("--webhook is empty: give an address, or --no-webhook")
    if overlap and not new_secret:
        wrong_usage("--overlap needs --new-secret: it is how long the earlier secret signs as well")
    reading = named_reading(numbers) if numbers is not None else None
    allowed = None if countries is None else cli_countries.parse(countries)
    allow = load_or_exit(WebhookSettings).webhook_private_addresses

    def change(client: redis.Redis) -> tuple[registry.Registration, str, int]:
        address = "" if no_webhook else webhook
        after, made = registry.put(
            client,
            name,
            bypass=bypass,
            webhook=address,
            new_secret=new_secret,
            rate=rate,
            countries=allowed,
            overlap_ms=int(overlap * HOUR),
            now=now_of(client),
            allow_loopback=allow,
            numbers=reading,
        )
        return after, made, laid_aside.lay_aside(client, name, now_of(client)) if no_webhook else 0

    after, secret, aside = with_redis(change)
    if as_json:
        shown: dict[str, Any] = _row(name, after) | {"laid_aside": aside}
        shown |= {"earlier_until": [one.until for one in after.earlier]}
        print_json(shown | ({"secret": secret} if secret else {}))
        return
    bypass_words = "yes" if after.bypass else "no"
    limits = f"bypass {bypass_words}{_rate(after)}{_countries(after)}{_numbers(after)}"
    print_line(f"{name}: webhook {registry.shown(after.webhook) or 'none'}, {limits}")
    if secret:
        print_line(
            f"secret: {secret}\nSave it now: it is shown only once. The receiver verifies Threelane-Signature with it."
        )
    for one in after.earlier if secret else ():
        print_line(f"an earlier secret signs as well until {shown_at(one.until)}")
    if aside:
        print_line(f"{aside} events were set aside: threelane producers undelivered")


@producers.command("list", epilog="Example: threelane producers list --json")
def list_producers(as_json: Json = False) -> None:
    """List producers with their rights and webhooks, without secrets."""
    found = with_redis(registry.read_all)
    rows = [_row(name, one) for name, one in found.items()]
    if as_json:
        print_json(rows)
        return
    table = Table("name", "bypass", "rate", "countries", "numbers", "webhook")
    for name, one in found.items():
        table.add_row(
            escape(name),
            "yes" if one.bypass else "no",
            f"{one.rate:g}" if one.rate else "",
            join(one.countries),
            escape(one.numbers),
            escape(registry.shown(one.webhook)),
        )
    out.print(table if found else "no producer is registered")


@producers.command(epilog="Example: threelane producers remove shop")
def remove(name: Name) -> None:
    """Remove a producer: its rights, API keys, webhook and pending events."""

    def forget(client: redis.Redis) -> tuple[bool, int, int]:
        return (
            registry.remove(client, name),
            access.revoke_all(client, name),
            laid_aside.discard(client, name),
        )

    known, revoked, discarded = with_redis(forget)
    if not known and not revoked and not discarded:
        _unknown(name)
    keys = f", {revoked} keys" if revoked else ""
    print_line(f"{name} removed{keys}, and {discarded} pending webhook events")


@producers.command(epilog="Example: threelane producers undelivered shop --json")
def undelivered(name: Name, as_json: Json = False) -> None:
    """List events that were set aside because a webhook did not accept them."""
    found = with_redis(lambda client: _known(client, name) and list(laid_aside.undelivered(client, name)))
    if as_json:
        print_json([one._asdict() for one in found or []])
        return
    table = Table("event", "type", "message or reply", "tries", "last response", "set aside")
    for one in found or []:
        table.add_row(one.event, one.type, escape(one.about), str(one.tries), escape(one.reason), shown_at(one.since))
    out.print(table if found else "no undelivered events")


@producers.command(epilog="Example: threelane producers redeliver shop")
def redeliver(name: Name) -> None:
    """Post the set-aside events again, each once."""

    def again(client: redis.Redis) -> int:
        registration = _known(client, name)
        if not registration.webhook:
            wrong_usage(f"{name} has no webhook: threelane producers set {name!r} --webhook https://...")
        return laid_aside.redeliver(client, name, now_of(client))

    print_line(f"{with_redis(again)} events are queued for delivery again")


def _row(name: str, one: registry.Registration) -> dict[str, object]:
    row: dict[str, object] = {"name": name, "bypass": one.bypass, "rate": one.rate}
    return row | {"countries": one.countries, "numbers": one.numbers, "webhook": registry.shown(one.webhook)}


def _rate(registration: registry.Registration) -> str:
    return f", {registration.rate:g} per second for all its keys" if registration.rate else ""


def _numbers(registration: registry.Registration) -> str:
    return f", numbers {registration.numbers}" if registration.numbers else ""


def _countries(registration: registry.Registration) -> str:
    return f", countries {join(registration.countries)}" if registration.countries else ""


def _known(client: redis.Redis, name: str) -> registry.Registration:
    return registry.read(client, name) or _unknown(name)


def _unknown(name: str) -> NoReturn:
    not_found(f"no producer named {name!r} is registered: threelane producers list")

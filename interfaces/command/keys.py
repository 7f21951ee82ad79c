"""Commands for API keys."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn, TextIO

import msgspec
import redis
import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape

from threelane.contract.duration import DAY_SECONDS, HOUR_SECONDS
from threelane.contract.schedule import DAY
from threelane.interfaces.command import countries as cli_countries
from threelane.interfaces.command.ids import LEAST, only
from threelane.interfaces.command.numbers import named_reading
from threelane.interfaces.command.printing import Json, err, not_found, out, print_json, print_line
from threelane.interfaces.command.query import now_of, with_redis
from threelane.interfaces.command.secret_output import HOUR, MOST_HOURS, SecretFile, secret_file
from threelane.interfaces.command.terminal import Table
from threelane.interfaces.command.values import duration_in, shown_at
from threelane.runtime.exits import Exit
from threelane.store import access, last_used, overlap
from threelane.store.api_key import ApiKey

app = typer.Typer(help="API keys: their rights and rate limits.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="The producer that uses the key.")]
KeyId = Annotated[str, typer.Argument(help="The key's id, as shown by list.")]
_EXAMPLES = {"lanes": "--lane 3", "senders": "--sender ACME", "rate": "--rate 50", "expires": "--days 365"}
_SAVE = "Save it now: it is shown only once. Send it as Authorization: Bearer <key>."


@app.command(epilog="Example: threelane producers key make shop --lane 1 --sender ACME --rate 50 --days 365")
def make(
    context: typer.Context,
    name: Name,
    lane: Annotated[list[int] | None, typer.Option(help="A lane it may use; repeatable.")] = None,
    sender: Annotated[list[str] | None, typer.Option(help="A sender ID it may use; repeatable.")] = None,
    rate: Annotated[float, typer.Option(min=0, help="Messages and other requests per second.")] = 0,
    days: Annotated[
        float,
        typer.Option(metavar="DURATION", parser=duration_in(DAY_SECONDS, most=36_500), help="Days until it expires."),
    ] = 0,
    unlimited: Annotated[
        bool,
        typer.Option("--any", help="No limit where none is given: all lanes, any sender, no rate, no expiry."),
    ] = False,
    cost_centre: Annotated[
        list[str] | None,
        typer.Option(
            help="A cost centre it may charge; repeatable; the first is the default; without the option: any."
        ),
    ] = None,
    countries: Annotated[
        str | None, typer.Option(help="The countries it may send to, as in ZA,NA; without the option: any.")
    ] = None,
    bypass: Annotated[
        bool,
        typer.Option("--bypass", help="May bypass opt-outs: legal notices, bypass_dnc; its producer needs it, too."),
    ] = False,
    suppression: Annotated[bool, typer.Option("--suppression", help="May change the suppression list.")] = False,
    evidence: Annotated[bool, typer.Option("--evidence", help="May read why a number is suppressed.")] = False,
    operator: Annotated[bool, typer.Option("--operator", help="Operator rights, for all producers.")] = False,
    viewer: Annotated[
        bool, typer.Option("--viewer", help="May read what operators read, for all producers, and change nothing.")
    ] = False,
    texts: Annotated[
        bool,
        typer.Option(
            "--texts",
            help="May read full numbers of others and, with --operator or --viewer, texts in the console.",
        ),
    ] = False,
    numbers: Annotated[
        str,
        typer.Option(
            help="How numbers without + or 00 are read: international, national:ZA or e164; default: as its producer's."
        ),
    ] = "",
    note: Annotated[str, typer.Option(help="A note, such as who holds the key.")] = "",
    key_file: SecretFile = None,
    as_json: Json = False,
) -> None:
    """Create an API key, with explicit limits.  It is shown once: Threelane stores only its hash."""

    allowed = cli_countries.parse(countries) if countries is not None else ()

    def put(client: redis.Redis) -> access.NewApiKey:
        now = now_of(client)
        rights = {"bypass": bypass, "suppression": suppression, "operator": operator, "viewer": viewer, "texts": texts}
        named = {"lanes": tuple(lane or ()), "senders": tuple(sender or ()), "cost_centres": tuple(cost_centre or ())}
        expires = now + int(days * DAY) if days else 0
        more: dict[str, Any] = {
            "evidence": evidence,
            "expires": expires,
            "rate": rate,
            "note": note,
            "countries": allowed,
            "numbers": named_reading(numbers),
        }
        try:
            return access.create(client, name, now, unlimited=unlimited, **more, **rights, **named)
        except access.MissingLimits as missing:
            _refuse(context, missing)

    with secret_file(key_file) as file:
        made = with_redis(put)
        _hand_over(made, f"key {made.key.id} of {name}: {_rights(made.key)}", file, key_file, as_json=as_json)


@app.command(epilog="Example: threelane producers key rotate k4f1c09a2b7e3 --overlap 24")
def rotate(
    key_id: KeyId,
    overlap_hours: Annotated[
        float,
        typer.Option(
            "--overlap",
            metavar="DURATION",
            parser=duration_in(HOUR_SECONDS, most=MOST_HOURS),
            help="How long the secret in use stays valid, as in 2h; a number alone is in hours; 0: it ends now.",
        ),
    ],
    key_file: SecretFile = None,
    as_json: Json = False,
) -> None:
    """Give a key a new secret, with the same id and rights.  The list shows when each secret was last used."""
    key_id = with_redis(lambda client: _whole(client, key_id))
    with secret_file(key_file) as file:
        made = with_redis(lambda client: access.rotate(client, key_id, now_of(client), int(overlap_hours * HOUR)))
        if made is None:
            _no_key(key_id)
        ends = f"valid until {shown_at(made.key.earlier[0].until)}" if made.key.earlier else "no longer valid"
        line = f"key {key_id} of {made.key.producer}: new secret; the earlier one is {ends}"
        _hand_over(made, line, file, key_file, as_json=as_json)


@app.command("list", epilog="Example: threelane producers key list shop --json")
def show(
    name: Annotated[str, typer.Argument(help="Only keys of this producer.")] = "",
    as_json: Json = False,
) -> None:
    """List API keys, their rights and when each was last used. The keys themselves are never shown."""

    def read(client: redis.Redis) -> tuple[list[ApiKey], dict[str, int], int]:
        return access.list_keys(client, name), last_used.read_all(client), now_of(client)

    found, used, now = with_redis(read)
    if as_json:
        print_json([_row(one) | _uses(one, used, now) for one in found])
        return
    table = Table("id", "producer", "rights", "created", "expires", "last used", "note", box=SIMPLE_HEAD)
    for one in found:
        expires = shown_at(one.expires) if one.expires else "never"
        cells = (one.id, one.producer, _rights(one), shown_at(one.made), expires, _last_used(one, used, now), one.note)
        table.add_row(*map(escape, cells))
    out.print(table if found else f"no keys; create one: threelane producers key make NAME {_example()}")


@app.command(epilog="Example: threelane producers key revoke k4f1c09a2b7e3")
def revoke(key_id: KeyId) -> None:
    """Revoke a key; the next request with it is refused."""
    key_id = with_redis(lambda client: _whole(client, key_id))
    if not with_redis(lambda client: access.revoke(client, key_id)):
        _no_key(key_id)
    print_line(f"key {key_id} revoked")


def _whole(client: redis.Redis, given: str) -> str:
    """Return the id of a key, given whole or as its unique beginning; the text as it is if no key has it."""
    if len(given) < LEAST:
        return given
    return only(given, [one.id for one in access.list_keys(client)], "keys") or given


def _no_key(key_id: str) -> NoReturn:
    not_found(f"no key {key_id!r}: threelane producers key list")


def _refuse(context: typer.Context, missing: access.MissingLimits) -> NoReturn:
    """End the command with the missing options, and two commands that would work."""
    given = shlex.join(["threelane", "producers", "key", "make", *_given(context)])
    needed = " ".join(_EXAMPLES[one.field] for one in missing.missing)
    options = ", ".join(one.option for one in missing.missing)
    without = ", ".join(one.words for one in missing.missing)
    problem = (
        f"a key needs explicit limits; missing: {options}. Limit it, as in\n  {given} {needed}\n"
        f"or grant {without}:\n  {given} --any"
    )
    err.print(problem, markup=False, highlight=False, soft_wrap=True)  # each command on a line of its own
    raise typer.Exit(Exit.USAGE) from None


def _given(context: typer.Context) -> Iterator[str]:
    """Yield the words of a command as given, without its limits of 0, which are none."""
    for parameter in context.command.params:
        value = context.params[parameter.name or ""]
        if parameter.param_type_name == "argument":
            yield str(value)
        elif value is True:
            yield parameter.opts[0]
        elif value:
            for one in value if isinstance(value, list | tuple) else [value]:
                yield from (parameter.opts[0], f"{one:g}" if isinstance(one, float) else str(one))


def _hand_over(made: access.NewApiKey, line: str, file: TextIO | None, path: Path | None, *, as_json: bool) -> None:
    """Print a new token, or write it to its file."""
    if file:
        file.write(f"{made.token}\n")
        file.flush()
    if as_json:
        print_json(_row(made.key) | ({"key_file": str(path)} if file else {"key": made.token}))
        return
    print_line(line)
    print_line(f"written to {path}" if file else f"{made.token}\n{_SAVE}")


def _example() -> str:
    return " ".join(_EXAMPLES.values())


def _row(key: ApiKey) -> dict[str, object]:
    row = msgspec.structs.asdict(key)
    del row["digest"]
    row["evidence"] = key.may_read_evidence
    row["earlier"] = [{"until": one.until} for one in key.earlier]
    return row | {"wide": key.is_wide}


def _uses(key: ApiKey, used: dict[str, int], now: int) -> dict[str, object]:
    """Return when each valid secret was last used, ms; 0: never, or before this version."""
    earlier = [
        {"until": one.until, "last_used": last_used.of(used, key.id, one.value)}
        for one in overlap.valid(key.earlier, now)
    ]
    return {"last_used": last_used.of(used, key.id, key.digest), "earlier": earlier}


def _last_used(key: ApiKey, used: dict[str, int], now: int) -> str:
    def at(digest: str) -> str:
        return shown_at(when) if (when := last_used.of(used, key.id, digest)) else "never"

    lines = [at(key.digest)]
    lines += [f"earlier secret: {at(one.value)}, ends {shown_at(one.until)}" for one in overlap.valid(key.earlier, now)]
    return "\n".join(lines)


def _rights(key: ApiKey) -> str:
    """Return the rights of a key in one line; a wide key is marked."""
    rights = ["wide"] if key.is_wide else []
    rights += [f"lanes {','.join(map(str, key.lanes))}"]
    rights += [f"senders {', '.join(key.senders)}" if key.senders else "any sender"]
    rights += [f"cost centres {', '.join(key.cost_centres)}"] if key.cost_centres else []
    rights += [f"countries {','.join(key.countries)}"] if key.countries else []
    rights += [name for name in ("bypass", "suppression", "operator", "viewer", "texts") if getattr(key, name)]
    rights += [f"numbers {key.numbers}"] if key.numbers else []
    rights += ["evidence"] if key.may_read_evidence else []
    return "; ".join([*rights, f"{key.rate:g} per second" if key.rate else "no rate limit"])

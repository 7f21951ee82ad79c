"""`threelane sandbox`: starts the sandbox and prints its URL."""

import asyncio
import json
import signal
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError

from threelane.sandbox.settings import SandboxSettings

if TYPE_CHECKING:  # aiohttp would double the time that every other command takes to start
    from threelane.sandbox.app import MakePart

app = typer.Typer(add_completion=False)

_SHUTDOWN_SECONDS = 0.5


def _option(help: str) -> Any:
    return typer.Option(help=help, show_default=False)


@app.command("sandbox")
def sandbox(
    host: Annotated[str | None, _option("Address to listen on (127.0.0.1)")] = None,
    port: Annotated[int | None, _option("Port to listen on; 0 picks a free one (8077)")] = None,
    seed: Annotated[int | None, _option("Makes ids, jitter and probabilities reproducible (random)")] = None,
    api_id: Annotated[str | None, _option("API id to accept (sandbox)")] = None,
    user: Annotated[str | None, _option("User to accept (sandbox)")] = None,
    password: Annotated[str | None, _option("Password to accept (sandbox); prefer the environment")] = None,
    rest_token: Annotated[str | None, _option("REST token to accept (sandbox); prefer the environment")] = None,
    api_key: Annotated[str | None, _option("One API key to accept (sandbox); prefer the environment")] = None,
    session_seconds: Annotated[float | None, _option("Lifetime of an unused session (900)")] = None,
    credit: Annotated[str | None, _option("Credits to start with (100000)")] = None,
    default_price: Annotated[str | None, _option("Credits per part (0.8)")] = None,
    price: Annotated[list[str] | None, _option("PREFIX=CREDITS per part; may be repeated")] = None,
    unrouted: Annotated[list[str] | None, _option("Prefix without a route, code 114; may be repeated (999)")] = None,
    sender: Annotated[list[str] | None, _option("Registered sender id; may be repeated (any)")] = None,
    do_not_contact: Annotated[
        list[str] | None, _option("Number on the do-not-contact list, code 121; may be repeated (none)")
    ] = None,
    default_concat: Annotated[int | None, _option("Parts allowed when a request sets no limit (3)")] = None,
    most_validity_minutes: Annotated[int | None, _option("Longest validity period, in minutes (10080)")] = None,
    one_api_most: Annotated[int | None, _option("Most messages in one request of the One API (100)")] = None,
    latency_ms: Annotated[float | None, _option("Delay of every response (0)")] = None,
    latency_jitter_ms: Annotated[float | None, _option("Upper limit of an added random delay (0)")] = None,
    lookup_lag_seconds: Annotated[float | None, _option("Delay until look-ups find a message (0)")] = None,
    gateway_after_seconds: Annotated[float | None, _option("Delay of status 003 (0.05)")] = None,
    handset_after_seconds: Annotated[float | None, _option("Delay of the final status (0.2)")] = None,
    schedule_scale: Annotated[float | None, _option("Multiplies the wait of scheduled messages (1)")] = None,
    callback_url: Annotated[str | None, _option("Where to push statuses; may include user:password@")] = None,
    reply_url: Annotated[
        str | None, _option("Where to push replies (default: --callback-url with /mo instead of /status)")
    ] = None,
    one_callback_url: Annotated[
        str | None,
        _option(
            "Where to push statuses and replies of the One API (default: --callback-url with /one instead of /status)"
        ),
    ] = None,
    platform_callback_url: Annotated[
        str | None,
        _option(
            "Where to push statuses and replies of Platform REST "
            "(default: --callback-url with /platform instead of /status)"
        ),
    ] = None,
    callback_method: Annotated[str | None, _option("POST, GET, XML or JSON (POST)")] = None,
    callback_retry_scale: Annotated[
        float | None, _option("Multiplies the callback retry delays of 2, 4, 8... minutes (1)")
    ] = None,
    callback_timeout_seconds: Annotated[float | None, _option("Longest wait for an acknowledgement (10)")] = None,
    callback_connections: Annotated[int | None, _option("Most concurrent callbacks (64)")] = None,
    ledger: Annotated[Path | None, _option("File to append a JSON line to for each message and status")] = None,
    part: Annotated[list[str] | None, _option("MODULE:CLASS of another API to serve; may be repeated")] = None,
) -> None:
    """Run a local simulation of Clickatell; every option but --part can be set with THREELANE_SANDBOX_<NAME>."""
    options: dict[str, Any] = {name: value for name, value in locals().items() if value is not None}
    references = options.pop("part", ())
    options["senders"] = options.pop("sender", None) or None
    for name in ("price", "unrouted", "senders", "do_not_contact"):
        if options.get(name):
            options[name] = ",".join(options[name])
        else:
            options.pop(name, None)
    try:
        settings = SandboxSettings(**options)
    except ValidationError as error:
        reasons = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
        raise typer.BadParameter("; ".join(reasons)) from None
    run(settings, [_part(reference) for reference in references])


def run(settings: SandboxSettings, parts: "Sequence[MakePart]" = ()) -> None:
    """Serves until SIGTERM or SIGINT; prints its URL as the first line on stdout once it listens."""
    asyncio.run(_serve(settings, parts))


def _part(reference: str) -> "MakePart":
    """Returns the API class of a MODULE:CLASS reference."""
    module, _, name = reference.partition(":")
    try:
        found: MakePart = getattr(import_module(module), name)
    except Exception as error:  # code outside the product may raise anything
        reason = f"{type(error).__name__}: {error}"
        raise typer.BadParameter(f"{reference} cannot be loaded: {reason}", param_hint="--part") from None
    if not callable(found):
        raise typer.BadParameter(f"{reference} is not a class", param_hint="--part")
    return found


async def _serve(settings: SandboxSettings, parts: "Sequence[MakePart]") -> None:
    from aiohttp import web  # imported here: it would double the start-up time of every other command

    from threelane.sandbox.app import GATEWAY, create
    from threelane.sandbox.listening import Listener

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    app = create(settings, parts=parts)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        listener = app[GATEWAY].listener = Listener(runner, settings.host, settings.port)
        port = await listener.start()
        print(json.dumps({"event": "listening", "url": f"http://{settings.host}:{port}"}), flush=True)
        await stopped.wait()
    finally:
        await runner.cleanup()

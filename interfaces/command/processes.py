"""Commands that run the processes of Threelane."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from threelane.runtime.settings import load_or_exit
from threelane.store import keys


def worker(
    lanes: Annotated[
        str, typer.Option(help="Lanes to fetch from, such as 1,2,3; or 1 for a worker reserved for lane 1.")
    ] = "1,2,3",
    account: Annotated[
        str, typer.Option(help="The account of THREELANE_ACCOUNTS_FILE to serve; default: THREELANE_ACCOUNT.")
    ] = "",
) -> None:
    """Run a worker, which fetches messages from its lanes and sends them."""
    chosen = [int(lane) for lane in lanes.split(",") if lane in ("1", "2", "3")]
    if len(chosen) != len(lanes.split(",")):
        raise typer.BadParameter(
            f"{lanes!r}: give lanes from 1 to 3, separated by commas, as in 1,2,3", param_hint="--lanes"
        )
    if account:
        os.environ["THREELANE_ACCOUNT"] = account  # the module below reads its settings when it is imported
    from threelane.worker.app import app as celery
    from threelane.worker.app import settings

    process = celery.Worker(  # not Celery's command line, which also reads options from variables such as APP
        queues=[keys.queue(lane, settings.space.account) for lane in chosen],
        loglevel="WARNING",
        quiet=True,
    )
    process.start()
    raise typer.Exit(process.exitcode or 0)


def callbacks() -> None:
    """Run the endpoint for Clickatell's callbacks: receipts and replies."""
    from threelane.interfaces.callbacks.serve import serve
    from threelane.worker.process.settings import CallbackSettings

    serve(load_or_exit(CallbackSettings))


def webhooks() -> None:
    """Run the webhook dispatcher, which posts events to the producers' webhooks. You can run several."""
    from threelane.worker.process.settings import WebhookSettings
    from threelane.worker.webhooks.dispatcher import serve

    serve(load_or_exit(WebhookSettings))


def api() -> None:
    """Run the HTTP API for producers and operators, and the console; reference at /docs."""
    from threelane.interfaces.web.serve import serve
    from threelane.runtime.settings import ApiSettings

    serve(load_or_exit(ApiSettings))


def exporter() -> None:
    """Run the exporter, which reads fleet metrics from Redis: depths, ages, holds, counts and credits."""
    from threelane.operations.exporter import serve
    from threelane.worker.process.settings import ExporterSettings

    serve(load_or_exit(ExporterSettings))

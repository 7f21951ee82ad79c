"""Credentials: a worker that the gateway refuses beside a healthy one, and a rolling change of the password.

Each scene sends codes at a steady pace while one worker has no credentials, a wrong password, a wrong API id or an
address that is not a gateway.  The healthy worker must send all of them; nothing may become a dead letter, and nothing
may hold the account.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from rich.console import Console

from tests.chaos.shows.report import Report
from tests.chaos.shows.stage import CODE_TEXT, Scale, Stage, wait
from threelane.contract import gateways
from threelane.demo.child import Child
from threelane.demo.stack import PYTHON
from threelane.store.states import Status
from threelane.worker.account import hold

SCENE_SECONDS = 60.0
EVERY_SECONDS = 0.2  # a code
OLDEST_SECONDS = 5.0  # a code that waits longer while a healthy worker runs is held by something
LOGIN_RETRY_SECONDS = 5.0
NOT_MANY = {"THREELANE_PARTS_PER_SECOND": "100", "THREELANE_BALANCE_SECONDS": "10"}
NEW_PASSWORD = "rolled"


class Scene(NamedTuple):
    """A worker's settings that the gateway refuses; ``ends``: it must end with code 2 instead of waiting."""

    changes: Mapping[str, str]
    ends: bool = False


# fmt: off
NOTHING = {f"THREELANE_CLICKATELL_{name}": "" for name in ("API_ID", "USER", "PASSWORD", "TOKEN", "API_KEY")}
SCENES: Mapping[str, Scene] = {
    "none":     Scene(NOTHING, ends=True),
    "password": Scene({f"THREELANE_CLICKATELL_{name}": "wrong" for name in ("PASSWORD", "TOKEN", "API_KEY")}),
    "api_id":   Scene({"THREELANE_CLICKATELL_API_ID": "9001"}),
    "page_404": Scene({"THREELANE_GATEWAY_URL": "404"}),
    "page_200": Scene({"THREELANE_GATEWAY_URL": "200"}),
}
# fmt: on
ROLLING = "rolling"
API_ID = "clickatell_api_id"


def credentials_of(gateway: str) -> list[str]:
    return [one.name for one in gateways.named(gateway).credentials]


def play(scale: Scale, console: Console, kinds: Sequence[str] = ()) -> bool:
    """Play the scenes; returns whether the codes never felt the worker that is refused."""
    sound = True
    for kind, scene in SCENES.items():
        if kind in (kinds or SCENES) and not (kind == "api_id" and API_ID not in credentials_of(scale.gateway)):
            sound &= _beside(kind, scene, scale, console)
    if not kinds or ROLLING in kinds:
        sound &= _rolling(scale, console)
    return sound


def _beside(kind: str, scene: Scene, scale: Scale, console: Console) -> bool:
    """Play one scene: codes for a minute, beside the worker that is refused."""
    with _pages() as pages, Stage(scale, NOT_MANY, workers=1) as stage:
        changes = {name: pages.get(value, value) for name, value in scene.changes.items()}
        refused = _worker(stage, "refused", changes)
        seen = _send_codes(stage, SCENE_SECONDS * scale.seconds)
        report = Report(f"show credentials: beside a worker with wrong settings ({kind}), API {scale.gateway}")
        _report_codes(report, stage, seen)
        report.limit("sends that the gateway refused", len(_refusals(stage)), 0)
        code = refused.process.poll()
        report.count("the refused worker ended with", "runs" if code is None else code)
        report.limit("ended otherwise than expected", int(code != (2 if scene.ends else None)), 0)
        refused.stop()
        return report.show(console)


def _rolling(scale: Scale, console: Console) -> bool:
    """Deploy the new password beside the old one, change it at the gateway, and measure the gap between codes."""
    secrets = {f"THREELANE_CLICKATELL_{name}": NEW_PASSWORD for name in ("PASSWORD", "TOKEN", "API_KEY")}
    with Stage(scale, NOT_MANY, workers=1) as stage:
        new = _worker(stage, "new-password", secrets)
        wait(lambda: "login_refused" in new.log.read_text(encoding="utf-8"), 30)
        changed: list[float] = []

        def change() -> None:
            stage.control("POST", "credentials", dict.fromkeys(("password", "rest_token", "api_key"), NEW_PASSWORD))
            changed.append(time.time())

        timer = threading.Timer(SCENE_SECONDS * scale.seconds / 3, change)
        timer.start()
        seen = _send_codes(stage, SCENE_SECONDS * scale.seconds)
        timer.join()
        arrived = sorted(stage.arrivals().values())
        report = Report(f"show credentials: a rolling change of the password, API {scale.gateway}")
        _report_codes(report, stage, seen)
        last = max((at for at in arrived if at <= changed[0]), default=changed[0])
        first = min((at for at in arrived if at > changed[0]), default=None)
        gap = None if first is None else first - last
        report.limit("gap between codes at the change, s", gap, LOGIN_RETRY_SECONDS + EVERY_SECONDS)
        report.count("  in retries of the login", "none" if gap is None else gap / LOGIN_RETRY_SECONDS)
        report.count("sends that the gateway refused", dict(Counter(one["code"] for one in _refusals(stage))))
        new.stop()
        return report.show(console)


class Seen(NamedTuple):
    """The codes of a scene, and how often the account was on hold when it was looked at."""

    ids: list[str]
    account_holds: int
    other_holds: Counter[str]


def _send_codes(stage: Stage, seconds: float) -> Seen:
    """Send codes at a steady pace, and look at the holds with each; waits for the last one at the end."""
    ids: list[str] = []
    others: Counter[str] = Counter()
    account_holds, ends = 0, time.monotonic() + seconds
    while time.monotonic() < ends:
        ids += stage.send([{"to": f"27999{400_000 + len(ids)}", "text": CODE_TEXT, "lane": 1}])
        held = list(hold.holds(stage.client, int(time.time() * 1000)))
        account_holds += "account" in held
        others.update({one.partition(":")[0] for one in held})
        time.sleep(EVERY_SECONDS)
    wait(lambda: stage.count(ids)[Status.QUEUED] == 0, 30)
    return Seen(ids, account_holds, others)


def _report_codes(report: Report, stage: Stage, seen: Seen) -> None:
    statuses = stage.statuses(seen.ids)
    arrived = Counter(one["client_id"] for one in stage.ledger())
    at_gateway = stage.arrivals()
    waits = [at_gateway[one] - statuses[one].accepted_at / 1000 for one in seen.ids if one in at_gateway]
    count = Counter(str(one.status) for one in statuses.values())
    report.count("codes accepted", len(seen.ids))
    report.limit("not received by the gateway", sum(one not in arrived for one in seen.ids), 0)
    report.limit("received twice", sum(number > 1 for number in arrived.values()), 0)
    report.limit("dead letters", count[Status.DEAD], 0)
    report.limit("in doubt at the end", count[Status.IN_DOUBT], 0)
    report.limit("times that the account was on hold", seen.account_holds, 0)
    report.count("times that others were on hold", dict(seen.other_holds))
    report.limit("longest wait of a code, s", max(waits, default=None), OLDEST_SECONDS + LOGIN_RETRY_SECONDS)


def _refusals(stage: Stage) -> list[Mapping[str, str]]:
    """Return the sends that the gateway answered with a code."""
    return [one for one in stage.attempts() if one["code"]]


def _worker(stage: Stage, name: str, changes: Mapping[str, str]) -> Child:
    """Start a worker with other settings, without waiting for anything."""
    environment = {**stage.stack.environment, "THREELANE_WORKER_NAME": name, **changes}
    command = [*PYTHON, "-m", "threelane", "worker"]
    return Child(name, command, stage.stack.folder / f"{name}.log", environment)


class _Page(BaseHTTPRequestHandler):
    """A server that is not the gateway: a page with the HTTP status of the server."""

    def do_POST(self) -> None:
        """Answer like another site."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        page = b"<html><body><h1>Welcome</h1></body></html>"
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    do_GET = do_POST

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@contextmanager
def _pages() -> Iterator[dict[str, str]]:
    """Run servers that are not the gateway; yields their addresses by HTTP status."""
    servers = []
    for status in (200, 404):
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
        server.status = status  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
    try:
        yield {str(one.status): f"http://127.0.0.1:{one.server_port}" for one in servers}  # type: ignore[attr-defined]
    finally:
        for one in servers:
            one.shutdown()
            one.server_close()

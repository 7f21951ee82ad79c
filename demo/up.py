"""Up: keeps a stack running until Ctrl-C, for manual tests."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from threelane.contract import gateways
from threelane.demo.accounts import AccountAtSandbox
from threelane.demo.child import Failed
from threelane.demo.stack import Stack
from threelane.demo.stack_file import STACK_FILE, running_stack
from threelane.runtime.exits import Exit


def keep_up(accounts: Sequence[str] = (), routes: str = "") -> int:
    """Start a stack, write its addresses into .threelane/stack.json, and keep it until Ctrl-C or SIGTERM.

    Each of the accounts, besides that of the environment, has a sandbox and a worker; ``routes`` is TOML.
    """
    for number in (signal.SIGTERM, signal.SIGINT):  # a shell starts background jobs with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    running = _running()
    if running:
        print(f"a stack already runs here, process {running}: stop it first, or use another folder", file=sys.stderr)
        return Exit.USAGE
    folder = STACK_FILE.parent / time.strftime("up-%Y%m%d-%H%M%S")
    try:
        more = dict.fromkeys(accounts, AccountAtSandbox())
        with Stack(folder, {}, _wanted(), more, routes) as stack:
            stack.start_api()
            STACK_FILE.write_text(json.dumps(stack.describe(os.getpid()), indent=2), encoding="utf-8")
            STACK_FILE.chmod(0o600)
            _print_addresses(stack)
            while not stack.ended():
                time.sleep(0.5)
            print(f"ended unexpectedly: {', '.join(stack.ended())}; see the logs in {folder}", file=sys.stderr)
            return Exit.DIFFERENT
    except Failed as failed:
        print(failed, file=sys.stderr)
        return Exit.DIFFERENT
    except KeyboardInterrupt:
        return Exit.OK
    finally:
        STACK_FILE.unlink(missing_ok=True)


def _running() -> int:
    """Return the process id of a stack running in this folder, or 0."""
    stack = running_stack()
    return stack.pid if stack else 0


def _wanted() -> dict[str, str]:
    """Return the caller's THREELANE_* settings, without those that the stack sets itself."""
    credentials = (one.name.upper() for one, _ in gateways.credentials())
    own = ("REDIS_URL", "BROKER_URL", "GATEWAY_URL", *credentials, "CALLBACK", "METRICS_PORT", "SANDBOX_", "ACCOUNT")
    named = {name: value for name, value in os.environ.items() if name.startswith("THREELANE_")}
    return {name: value for name, value in named.items() if not name.removeprefix("THREELANE_").startswith(own)}


def _print_addresses(stack: Stack) -> None:
    print(f"Redis       {stack.redis_url}")
    for account, url in stack.sandbox_urls.items():
        print(f"sandbox     {url}/sandbox/ledger{'' if len(stack.sandbox_urls) == 1 else f'  (account {account})'}")
    if file := stack.environment["THREELANE_ACCOUNTS_FILE"]:
        print(f"accounts    {file}")
    print(f"callbacks   {stack.callbacks_url}")
    print(f"HTTP API    {stack.api_url}/docs")
    print(f"console     {stack.api_url}/console")
    print(f"API key     {stack.api_key}  (operator key, for both)")
    for name, url in stack.metrics.items():
        print(f"metrics     {url}  ({name})")
    print(f"state       {stack.folder}, addresses in {Path(STACK_FILE)}")
    print("Commands in this folder find the stack automatically: threelane send 27831234567 'Hello'")
    print("Ctrl-C stops everything.", flush=True)

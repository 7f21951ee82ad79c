"""Commands for accounts at the gateway: list, drain, use; and balance, coverage, voucher."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
import redis
import typer
from pydantic import SecretStr

from threelane.contract import phone
from threelane.interfaces.command import draining
from threelane.interfaces.command.numbers import number as number_of
from threelane.interfaces.command.of_account import Account, meant
from threelane.interfaces.command.printing import Json, err, print_json, print_line, wrong_usage
from threelane.interfaces.command.query import with_redis
from threelane.operations import account
from threelane.operations.account import Call
from threelane.operations.direct_account import directly
from threelane.runtime.exits import Exit
from threelane.runtime.settings import InvalidSettings, load, load_or_exit
from threelane.store import accounts, audit
from threelane.store.account_requests import AccountAnswer, AccountQuery, AccountResult
from threelane.worker.gateway.choose import missing_credentials
from threelane.worker.process.settings import WorkerSettings

app = typer.Typer(
    help="Accounts at the gateway: list, drain, use; and balance, coverage of a number, vouchers.\n\n"
    "A host without the account's credentials lets a worker make the call.",
    no_args_is_help=True,
)
app.command("list", epilog="Example: threelane account list --json")(draining.show)
app.command("drain", epilog="Example: threelane account drain marketing")(draining.drain)
app.command("use", epilog="Example: threelane account use marketing")(draining.use)
LONGEST_FILE = 1024  # characters that are read of a file with a voucher
_EXITS = {AccountResult.REFUSED: Exit.REFUSED, AccountResult.LACKING: Exit.USAGE}


@app.command(epilog="Example: threelane account balance --json")
def balance(of: Account = "", as_json: Json = False) -> None:
    """Show the state and the balance of the account, as the gateway reports it now."""
    found = _made(of, lambda call, api, *_: account.balance(call, api))
    _end_unless_answered(AccountQuery.BALANCE, found, as_json=as_json)
    of_api = f" of the API {found.gateway}"
    whose = f" {found.account}{of_api}" if "/" in found.account else of_api  # without a name: by the key of the API
    print_line(f"the account{whose} is active; balance {found.balance:g}")


@app.command(epilog="Example: threelane account coverage 27831234567")
def coverage(
    number: Annotated[str, typer.Argument(help="The number; without + or 00 read as THREELANE_NUMBERS says.")],
    of: Account = "",
    as_json: Json = False,
) -> None:
    """Show whether the account reaches a number, and from which charge; exits with 1 if it does not.

    Not meant for use before each message.
    """
    msisdn = number_of(number)
    found = _made(of, lambda call, api, *_: account.coverage(call, api, msisdn))
    _end_unless_answered(AccountQuery.COVERAGE, found, as_json=as_json)
    charge = "" if found.charge is None else f", from {found.charge:g} credits a part"
    print_line(f"{phone.mask(msisdn)} is {'covered' if found.routable else 'not covered'}{charge}")
    raise typer.Exit(Exit.OK if found.routable else Exit.REFUSED)


@app.command(epilog="Example: threelane account voucher -")
def voucher(
    token: Annotated[
        str,
        typer.Argument(
            help="The voucher; - reads it from standard input. Every user of this machine can read an argument "
            "in the list of processes, and your shell keeps it in its history."
        ),
    ] = "",
    file: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, readable=True, help="Read the voucher from this file.")
    ] = None,
    of: Account = "",
    as_json: Json = False,
) -> None:
    """Redeem a voucher, once; it is never logged, and never stored."""
    secret = _voucher(token, file)
    found = _made(of, lambda call, api, client, name: account.redeem(call, api, secret, client, audit.user(), name))
    _end_unless_answered(AccountQuery.VOUCHER, found, as_json=as_json)
    print_line("the voucher is redeemed: threelane account balance")


def _made(of: str, ask: Callable[[Call, str, redis.Redis, str], AccountAnswer]) -> AccountAnswer:
    """Return the answer to a request: with the account's credentials of this host, if it has any, or by a worker."""
    settings = load_or_exit(WorkerSettings)

    def make(client: redis.Redis) -> AccountAnswer:
        one = meant(client, of)
        own = settings if settings.space == one.space else _settings_of(one.name)
        name = one.name if one.others else ""
        if own is None or missing_credentials(own):
            known = accounts.read(client).routing.accounts.get(one.name)
            api = own.gateway if own else known.gateway if known else settings.gateway
            return ask(account.by_worker(client, one.space), api, client, name)
        found = ask(directly(own), own.gateway, client, name)
        return msgspec.structs.replace(found, account=own.login)

    return with_redis(make)


def _settings_of(name: str) -> WorkerSettings | None:
    """Return the settings of another account, None if this host does not have them."""
    try:
        return load(WorkerSettings, account=name)
    except InvalidSettings:
        return None


def _voucher(token: str, file: Path | None) -> SecretStr:
    """Return the voucher of an argument, of standard input or of a file; ends the command unless it is exactly one."""
    if bool(token) == bool(file):
        wrong_usage("give the voucher once: as -, which reads standard input, as --file, or as the argument")
    if file:
        with file.open(encoding="utf-8", errors="replace") as opened:
            token = opened.read(LONGEST_FILE)
    elif token == "-":
        token = sys.stdin.read(LONGEST_FILE)
    try:
        return account.parse_voucher(token)
    except ValueError as wrong:
        wrong_usage(str(wrong))


def _end_unless_answered(query: AccountQuery, found: AccountAnswer, *, as_json: bool) -> None:
    """Print JSON if that is wanted; end the command if it is, or if there is no answer."""
    problem, remedy = account.problem(query, found)
    if as_json:
        print_json(found)
    elif problem:
        err.print(f"{problem}; {remedy}", markup=False, highlight=False, soft_wrap=True)
    if problem:
        raise typer.Exit(_EXITS.get(found.result, Exit.UNAVAILABLE))
    if as_json:
        raise typer.Exit(Exit.REFUSED if found.routable is False else Exit.OK)

"""Check: whether the settings are valid, Redis and the broker work and, on request, the account does."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from threelane.contract import gateways
from threelane.contract.reading import Form
from threelane.operations import check_accounts, check_redis
from threelane.operations.check_rabbit import check_rabbit
from threelane.operations.configuration import register
from threelane.operations.finding import Finding, Grade
from threelane.runtime import extras, secret_files, tls, variables
from threelane.runtime.accounts_file import name_of
from threelane.runtime.settings import ApiSettings, InvalidSettings, Settings, gateway_problems, load
from threelane.worker.gateway import reach
from threelane.worker.gateway.choose import gateway, missing_credentials
from threelane.worker.gateway.overrides import WrongPolicy
from threelane.worker.gateway.overrides import check as check_policy
from threelane.worker.gateway.tables import is_table
from threelane.worker.process import run_folder
from threelane.worker.process.broker import application
from threelane.worker.process.settings import CallbackSettings, WorkerSettings
from threelane.worker.reply import words

BROKER_SECONDS = 5  # how long a broker may take to answer
ELSEWHERE: Mapping[type[Settings], Mapping[str, str]] = {CallbackSettings: {"callback_secret": "0" * 16}}
"""Settings class -> required settings that a host without that process needs not have, with a valid value each."""
_IS_RIGHT = {"codes": is_table}


def check(
    *, live: bool, independent: Mapping[str, type[BaseSettings]] | None = None, account_elsewhere: bool = False
) -> Iterator[Finding]:
    """Yield findings about every setting, Redis, the broker and, if ``live``, the account.

    ``independent`` maps a program's name to its settings class, for programs that only share the prefix.
    ``account_elsewhere``: a host without any credential of the account is not the workers', and lacks nothing.
    """
    wrong = [*wrong_parts()]
    for problem in wrong:
        yield Finding(Grade.ERROR, "gateways", problem, "see docs/adding-a-gateway.md, or remove the folder")
    if wrong:  # the settings and the codes of all are made from what gateways declare
        return
    others = independent or {}
    worker: WorkerSettings | None = None
    open_files: dict[str, str] = {}
    reported: set[str] = set()  # a class repeats the errors of the class it extends
    for kind, section in register().items():
        absent = [name for name in ELSEWHERE.get(kind, {}) if not _is_set(name)]
        try:
            loaded = load(kind, **{name: ELSEWHERE[kind][name] for name in absent})
        except InvalidSettings as invalid:
            for line in str(invalid).splitlines():
                if line not in reported:
                    yield Finding(Grade.ERROR, kind.__name__, line.strip(), "correct the variable")
            reported.update(str(invalid).splitlines())
            continue
        user = section.read_by.strip("`")
        notes = [f"{secret_files.PREFIX}{name.upper()} is not set: only {user} needs it" for name in absent]
        yield Finding(Grade.OK, kind.__name__, "; ".join(["valid", *notes]))
        for variable, path in secret_files.open_to_others(kind, os.environ):
            open_files[variable] = path
        for problem in _not_pem(loaded):
            if problem not in reported:
                yield Finding(Grade.ERROR, kind.__name__, problem, "write a PEM file, or correct the path")
            reported.add(problem)
        worker = loaded if isinstance(loaded, WorkerSettings) else worker
    for variable, path in open_files.items():
        yield Finding(Grade.WARNING, variable, f"every user of this machine can read {path}", "chmod o-r, or 0440")
    for name, other in others.items():
        yield from _independent(name, other)
    for one in variables.unknown(os.environ, others.values()):
        near = f"the nearest is {one.nearest}" if one.nearest else "no setting has a similar name"
        yield Finding(
            Grade.ERROR, one.name, f"{one.name} is not a setting; {near}", "correct the name, or unset the variable"
        )
    accounts, problems = check_accounts.read(reported)
    yield from problems
    if worker is None:
        return
    yield from _country(worker)
    if accounts:
        yield from check_accounts.findings(accounts)
    if accounts is None or worker.account in accounts.routing.accounts:
        yield from _credentials(worker, account_elsewhere)
    yield from _sender(worker)
    yield from _words(worker)
    yield _run_folder(worker)
    yield from check_redis.findings(worker)
    yield from _broker(worker)
    every = {**(accounts.settings if accounts else {}), worker.account: worker}
    yield from _policies(every.values())
    for settings in every.values() if live else ():
        if not missing_credentials(settings):
            yield asyncio.run(_account(settings))


def _credentials(settings: WorkerSettings, elsewhere: bool) -> Iterator[Finding]:
    what, missing = f"account of the API {settings.gateway}", missing_credentials(settings)
    if elsewhere and len(missing) == len(gateways.named(settings.gateway).credentials) > 0:
        yield Finding(Grade.OK, what, f"{', '.join(missing)}: not set, as only workers need credentials")
        return
    for variable in missing:
        yield Finding(Grade.ERROR, what, f"{variable} is not set", "set it for workers")


def _is_set(name: str) -> bool:
    return any(os.environ.get(one) for one in (f"{secret_files.PREFIX}{name.upper()}", secret_files.variable(name)))


def _independent(name: str, kind: type[BaseSettings]) -> Iterator[Finding]:
    prefix = kind.model_config.get("env_prefix", "")
    try:
        kind()
    except ValidationError as invalid:
        for error in invalid.errors(include_input=False):
            problem = f"{prefix}{str(error['loc'][0]).upper()}: {error['msg'].removeprefix('Value error, ')}"
            yield Finding(Grade.ERROR, name, problem, "correct the variable")
    else:
        yield Finding(Grade.OK, name, "valid")


def wrong_parts() -> Iterator[str]:
    """Load all parts of all gateways; yield a sentence for each that is missing or not what it should be."""
    yield from gateway_problems()
    has_sandbox = extras.includes("sandbox")
    for one in gateways.declared().values():
        simulator = one.sandbox if has_sandbox or not one.sandbox.startswith("threelane.sandbox") else ""
        parts = {"sender": one.sender, "statuses": one.statuses, "sandbox": simulator, **one.callbacks}
        for part, reference in ({"codes": one.codes} | parts).items():
            try:
                if reference:
                    gateways.resolve(one, part, reference, _IS_RIGHT.get(part, callable))
            except gateways.InvalidGateway as wrong:
                yield str(wrong)


def _not_pem(settings: Settings) -> Iterator[str]:
    """Yield a sentence for each certificate or key that TLS cannot load."""
    pairs = {"THREELANE_REDIS_CERTIFICATE_FILE": (settings.redis_certificate_file, settings.redis_key_file)}
    if isinstance(settings, ApiSettings):
        pairs["THREELANE_API_TLS_CERT"] = (settings.api_tls_cert, settings.api_tls_key)
    if settings.redis_ca_file:
        try:
            ssl.create_default_context(cafile=settings.redis_ca_file)
        except OSError as failed:
            yield f"THREELANE_REDIS_CA_FILE: {settings.redis_ca_file} has no PEM certificate ({_reason(failed)})"
    for variable, (certificate, key) in pairs.items():
        try:
            if certificate:
                context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
                context.load_cert_chain(certificate, key, password="")  # or OpenSSL would prompt for one
        except OSError as failed:
            key_variable = variable.replace("CERTIFICATE_FILE", "KEY_FILE").replace("TLS_CERT", "TLS_KEY")
            yield (
                f"{variable}, {key_variable}: {certificate} and {key} are not a PEM certificate "
                f"and its key without a password ({_reason(failed)})"
            )


def _reason(failed: OSError) -> str:
    return str(getattr(failed, "reason", None) or failed.strerror or failed)


def _country(settings: Settings) -> Iterator[Finding]:
    """Warn about a country that changes no reading."""
    if settings.country and settings.reading.form is not Form.NATIONAL:
        yield Finding(
            Grade.WARNING,
            "THREELANE_COUNTRY",
            f"numbers without + or 00 are read as {settings.reading}, not as national numbers of {settings.country}",
            "set THREELANE_NUMBERS=national, or ignore this if only files and options name national",
        )


def _sender(settings: WorkerSettings) -> Iterator[Finding]:
    """Create the gateway once, as a worker does at its start."""

    async def create() -> None:
        await gateway(settings).close()

    try:
        asyncio.run(create())
    except gateways.InvalidGateway as wrong:
        yield Finding(Grade.ERROR, "gateways", str(wrong), "see docs/adding-a-gateway.md, or remove the folder")


def _policies(every: Iterable[WorkerSettings]) -> Iterator[Finding]:
    """Check each policy file once, under the name by which it is set: accounts may share that of the environment."""
    files = {name_of("policy_file", one.account, one.accounts_file): one.policy_file for one in every}
    for name, file in files.items():
        if file is None:
            continue
        try:
            check_policy(file)
        except WrongPolicy as wrong:
            for line in str(wrong).splitlines():
                yield Finding(Grade.ERROR, name, line, "see docs/gateways.md")
        else:
            yield Finding(Grade.OK, name, "valid")


def _words(settings: WorkerSettings) -> Iterator[Finding]:
    if settings.words_file is None:
        return
    try:
        words.load(settings.words_file)
    except ValueError as wrong:
        yield Finding(Grade.ERROR, "THREELANE_WORDS_FILE", str(wrong), "correct the file, or the path")
    else:
        yield Finding(Grade.OK, "THREELANE_WORDS_FILE", "valid")


def _run_folder(settings: WorkerSettings) -> Finding:
    """Try the run folder as a worker of this user does at its start."""
    try:
        folder = run_folder.checked(settings.run_dir)
    except run_folder.Unusable as problem:
        return Finding(Grade.ERROR, "run folder", str(problem), "correct it: workers end with code 2")
    return Finding(Grade.OK, "run folder", f"this user's workers can use {folder}")


def _broker(settings: WorkerSettings) -> Iterator[Finding]:
    """Check the broker, unless it is the Redis that stores the records."""
    if settings.broker_url is None:
        return
    if settings.broker_kind == "RabbitMQ":
        yield from check_rabbit(settings)
        return
    what = f"broker, {settings.broker_kind}"
    with application(settings).connection_for_read() as broker:
        at = broker.as_uri()  # without its password
        try:
            broker.ensure_connection(max_retries=1, interval_start=0, interval_max=0, timeout=BROKER_SECONDS)
            channel: Any = broker.default_channel  # Redis connects for it
        except Exception as failed:  # each transport has its own
            cause = tls.problem(failed) or str(failed)
            yield Finding(Grade.ERROR, what, f"{at}: {cause}", "start it, or correct THREELANE_BROKER_URL")
            return
        yield from check_redis.apart(channel.client, what, at)


async def _account(settings: WorkerSettings) -> Finding:
    api = gateway(settings)
    try:
        balance = await api.balance()
    finally:
        await api.close()
    what = f"account at {settings.gateway_address}, API {api.name}"
    if isinstance(balance, float):
        grade = Grade.OK if balance > 0 else Grade.WARNING
        return Finding(
            grade, what, f"active: credentials accepted, balance {balance:g}", "" if balance > 0 else "top up"
        )
    step = "check the credentials, the address, and that this host may call the API"
    return Finding(Grade.ERROR, what, reach.why_unknown(balance), step)

"""Settings: the configuration of a process, from environment variables with the prefix THREELANE_."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    Field,
    FilePath,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict
from redis.connection import parse_url

from threelane.contract import charset, countries, gateways, numbering, prices, reading
from threelane.contract.charset import Charset
from threelane.contract.errors import ThreelaneError
from threelane.contract.fields import LABEL
from threelane.contract.message_id import WireIds
from threelane.contract.reading import Reading
from threelane.contract.schedule import GATEWAY_VALIDITY_MINUTES
from threelane.contract.text import Alphabet
from threelane.runtime import accounts_file, number_files, secret_files, tracing
from threelane.runtime.account_keys import OwnOfAccount
from threelane.runtime.accounts_file import OfProcess

LIST_SHARE = 0.75  # of the memory for requests of the HTTP API; the rest is for requests that are not lists
LIST_MIB = 14  # what a list of messages needs besides its body
BROKER_SCHEMES = ("redis", "rediss", "unix", "amqp", "amqps", "pyamqp")
if TYPE_CHECKING:  # no type checker looks for the folders of gateways
    GatewayName = str
else:
    GatewayName = Literal[tuple(gateways.declared()) or ("",)]


class Section(NamedTuple):
    """A settings class in docs/configuration.md: its heading, and what reads it."""

    heading: str
    read_by: str


CREDENTIALS = "CredentialSettings"
"""The class whose fields are the credentials that gateways declare."""
REGISTER: dict[type[Settings], Section] = {}
"""Every settings class of the imported modules; all of them are checked and documented."""


class Settings(BaseSettings):
    """Settings of every process: the addresses of Redis and the broker, and their timeouts."""

    model_config = SettingsConfigDict(env_prefix="THREELANE_", frozen=True, extra="ignore", hide_input_in_errors=True)

    def __init_subclass__(cls, *, heading: str, read_by: str, **more: Any) -> None:
        """Register a class with the keywords of its declaration."""
        super().__init_subclass__(**more)
        REGISTER[cls] = Section(heading, read_by)

    redis_url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"), description="the Redis that stores records, indexes and counts"
    )
    broker_url: SecretStr | None = Field(None, description="the broker for nudges: another Redis, or RabbitMQ")
    rabbit_queue_type: Literal["classic", "quorum"] | None = Field(
        None,
        description="`classic` or `quorum`, for the queues of RabbitMQ; unset: the default of the virtual host",
    )
    redis_ca_file: Path | None = Field(
        None, description="CA certificate for a rediss:// address, PEM; unset: the system's CAs"
    )
    redis_certificate_file: Path | None = Field(None, description="client certificate, if Redis requires one, PEM")
    redis_key_file: Path | None = Field(None, description="key of the client certificate, PEM")
    redis_timeout_seconds: PositiveFloat = Field(
        3.0, description="longest wait of one command of Redis or the broker, and of one `send`, in total"
    )
    redis_connections: PositiveInt = Field(50, description="maximum Redis connections per process")
    retention_days: PositiveFloat = Field(
        8.0, ge=8, description="how long a message's record is kept after its final state"
    )
    batch_days: PositiveFloat = Field(
        90.0,
        le=365,
        description="how long a batch lists its messages after the last one was accepted; at least "
        "`THREELANE_RETENTION_DAYS` ([batches](batches.md))",
    )
    numbers: str = Field(
        "international",
        description="how numbers without `+` or `00` are read: `international`, `national:COUNTRY` as in "
        "`national:ZA`, or `e164`, which refuses them ([numbers](numbers.md))",
    )
    country: str = Field(
        "", description="the country of the reading `national` without one, two letters of ISO 3166, as in ZA"
    )
    number_ranges_file: Path | None = Field(
        None,
        description="ranges of numbers that are accepted although the copy of the numbering plans lacks them, TOML",
    )
    senders_file: Path | None = Field(
        None, description="countries whose networks take no sender names, TOML ([senders](numbers.md#senders))"
    )
    prices: OwnOfAccount[str] = Field(
        "*=1", description="credits per part by prefix, for estimates, such as 27=0.8,1=1.2,*=1"
    )
    gateway: OwnOfAccount[GatewayName] = Field("http", description="the Clickatell API to send through")
    gateway_validity_minutes: OwnOfAccount[PositiveInt] = Field(
        GATEWAY_VALIDITY_MINUTES,
        description="the longest validity that the gateway takes; a message for its scheduler waits here until its "
        "validity fits ([schedules](time-and-recipients.md#schedules))",
    )
    gateway_charset: OwnOfAccount[Charset] = Field(
        "utf-8",
        description="the form of letters beyond ASCII on the HTTP API: `utf-8`, `windows-1252` or `ucs-2` "
        "([letters](texts.md#letters-on-the-http-api))",
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field(
        "INFO", description="DEBUG, INFO, WARNING or ERROR"
    )
    otel: bool = Field(False, description="send OpenTelemetry traces; needs threelane[otel]")

    @field_validator("prices")
    @classmethod
    def _prices(cls, text: str) -> str:
        prices.parse(text)
        return text

    @field_validator("country")
    @classmethod
    def _a_country(cls, country: str) -> str:
        return reading.national_of(country).country if country else ""

    @field_validator("number_ranges_file")
    @classmethod
    def _ranges(cls, path: Path | None) -> Path | None:
        if path:
            numbering.open_ranges(number_files.ranges(path))
        return path

    @field_validator("senders_file")
    @classmethod
    def _senders(cls, path: Path | None) -> Path | None:
        if path:
            number_files.numeric_countries(path)
        return path

    @model_validator(mode="after")
    def _a_known_reading(self) -> Self:
        try:
            reading.parse_reading(self.numbers, self.country)
        except ValueError as wrong:
            raise ValueError(f"THREELANE_NUMBERS: {wrong}") from None
        return self

    @field_validator("otel")
    @classmethod
    def _can_trace(cls, on: bool) -> bool:
        if on and (problem := tracing.problem()):
            raise ValueError(problem)
        return on

    @field_validator("log_level", mode="before")
    @classmethod
    def _in_capitals(cls, level: object) -> object:
        return level.upper() if isinstance(level, str) else level

    @field_validator("redis_url")
    @classmethod
    def _an_address_of_redis(cls, url: SecretStr) -> SecretStr:
        try:
            parse_url(url.get_secret_value())  # type: ignore[no-untyped-call]
        except ValueError:  # its text may contain part of the password
            raise ValueError(
                "not an address of Redis; write redis://host:6379/0 (or rediss://, unix://), "
                "with / @ : # in a password as %2F %40 %3A %23"
            ) from None
        return _without_tls_options(url)

    @field_validator("redis_ca_file", "redis_certificate_file", "redis_key_file")
    @classmethod
    def _a_readable_file(cls, path: Path | None) -> Path | None:
        if path:
            try:
                path.open("rb").close()
            except OSError as failed:
                raise ValueError(f"{path} cannot be read ({failed.strerror}): mount it, or correct the path") from None
        return path

    @model_validator(mode="after")
    def _a_certificate_has_its_key(self) -> Self:
        if bool(self.redis_certificate_file) != bool(self.redis_key_file):
            raise ValueError("set both THREELANE_REDIS_CERTIFICATE_FILE and THREELANE_REDIS_KEY_FILE, or neither")
        return self

    @field_validator("broker_url")
    @classmethod
    def _an_address_of_a_broker(cls, url: SecretStr | None) -> SecretStr | None:
        nodes = url.get_secret_value().split(";") if url else []  # RabbitMQ may have several nodes
        for one in nodes:
            if not _is_an_address_of_a_broker(one):
                raise ValueError(
                    "not an address of RabbitMQ or Redis; write amqp://user:password@host:5672/vhost (or amqps://), "
                    "or redis://host:6379/0, with / @ : # in a password as %2F %40 %3A %23"
                )
        if any(_is_an_address_of_rabbitmq(one) for one in nodes):
            if not all(_is_an_address_of_rabbitmq(one) for one in nodes):
                raise ValueError("all addresses must be nodes of one RabbitMQ: write amqp:// or amqps:// for each")
            if not _has_kombu():
                raise ValueError("RabbitMQ needs one library more: pip install 'threelane[rabbitmq]'")
        elif len(nodes) > 1:
            raise ValueError("only RabbitMQ may have several addresses; give one Redis")
        return _without_tls_options(url) if url else None

    @property
    def reading(self) -> Reading:
        """How numbers without + or 00 are read."""
        return reading.parse_reading(self.numbers, self.country)

    @property
    def alphabet(self) -> Alphabet:
        """The letters that the gateway gets without Unicode."""
        return charset.alphabet(self.gateway, self.gateway_charset)

    @property
    def numeric_countries(self) -> frozenset[str]:
        """The countries whose networks take no sender names."""
        return number_files.numeric_countries(self.senders_file) if self.senders_file else frozenset()

    @property
    def retention_ms(self) -> int:
        """The retention in milliseconds."""
        return int(self.retention_days * 24 * 3600 * 1000)

    @property
    def batch_ms(self) -> int:
        """How long a batch lists its messages, in milliseconds: not shorter than their records are kept."""
        return max(int(self.batch_days * 24 * 3600 * 1000), self.retention_ms)

    @property
    def broker(self) -> str:
        """The broker's address, with its password: only for kombu and redis-py."""
        return (self.broker_url or self.redis_url).get_secret_value()

    @property
    def broker_kind(self) -> Literal["Redis", "RabbitMQ"]:
        """The kind of broker."""
        return "RabbitMQ" if _is_an_address_of_rabbitmq(self.broker) else "Redis"

    @property
    def rabbit_queue_arguments(self) -> dict[str, Any]:
        """The arguments with which producers and workers declare the queues of RabbitMQ."""
        return {"x-queue-type": self.rabbit_queue_type} if self.rabbit_queue_type else {}


REGISTER[Settings] = Section("Everything", "every process, producer and command")


class ProducerSettings(
    Settings, heading="Producers", read_by="processes that enqueue: the library, `threelane send` and `bulk`"
):
    """Settings of processes that enqueue messages."""

    producer: str = Field("", description="the producer's name, for budgets and metrics")
    cost_centre: str = Field("", description="the cost centre for messages that do not set one")
    wire_ids: WireIds = Field(
        WireIds.OURS,
        description="the client message id at the gateway, in its reports and invoices: `ours`, or `callers`: up to 16 "
        "letters and digits of the caller's id, then ours ([ids](gateways.md#client-message-ids))",
    )
    countries: str = Field(
        "any", description="countries that messages may be sent to, as in ZA,NA; others are refused; any: no limit"
    )

    @field_validator("countries")
    @classmethod
    def _known_countries(cls, text: str) -> str:
        return countries.join(countries.parse_countries(text))

    @property
    def allowed_countries(self) -> tuple[str, ...]:
        """The countries that messages may be sent to; none for any."""
        return countries.parse_countries(self.countries)

    @field_validator("producer", "cost_centre")
    @classmethod
    def _a_name(cls, name: str) -> str:
        if name and not LABEL.fullmatch(name):
            raise ValueError("up to 64 letters, digits, spaces and . _ : / -")
        return name


class ApiSettings(ProducerSettings, heading="The HTTP API", read_by="`threelane api`"):
    """Settings of the HTTP API."""

    api_host: str = Field("127.0.0.1", description="address on which the HTTP API listens")
    api_port: NonNegativeInt = Field(8080, le=65535, description="port of the HTTP API; 0: any free one")
    api_threads: PositiveInt = Field(40, description="maximum concurrent requests per process of the HTTP API")
    api_body_mib: PositiveFloat = Field(
        16.0, le=256, description="maximum request body size for a list of messages; for other requests it is 0.5 MiB"
    )
    api_body_seconds: PositiveFloat = Field(
        30.0, description="how long a request's body may take to arrive, and a response stay unread: 10 s at most"
    )
    api_memory_mib: PositiveFloat | None = Field(
        None,
        description="memory for the requests of one process; unset: half of what the container's limit, or the "
        "machine, leaves to them",
    )
    api_wait_seconds: PositiveFloat = Field(
        10.0, description="how long a request waits for memory or a place; after that it gets 503 with Retry-After"
    )
    api_connections: PositiveInt = Field(
        1_000, description="maximum connections of one process; fewer if its limit of open files is low"
    )
    api_connections_per_address: PositiveInt | None = Field(
        None, description="the same from one address; unset: no limit of its own, as all clients of a proxy share one"
    )
    api_head_seconds: PositiveFloat = Field(10.0, description="how long the head of a request may take to arrive")
    api_tls_cert: FilePath | None = Field(None, description="certificate chain of the HTTP API, PEM; enables TLS")
    api_tls_key: FilePath | None = Field(None, description="private key of that certificate, PEM")
    console: bool = Field(True, description="serve the console at /console")
    docs: bool = Field(True, description="serve the description of the API at /docs and /openapi.json")
    console_port: NonNegativeInt | None = Field(
        None,
        le=65535,
        description="a port of their own for /console and /docs, which are then missing on the other; 0: any free one",
    )
    console_host: str = Field("", description="address of that port; unset: that of the HTTP API")

    @model_validator(mode="after")
    def _two_ports_differ(self) -> Self:
        if self.console_port and self.console_port == self.api_port:
            raise ValueError("THREELANE_CONSOLE_PORT equals THREELANE_API_PORT: give another, or leave it unset")
        return self

    @model_validator(mode="after")
    def _a_host_has_a_port(self) -> Self:
        if self.console_host and self.console_port is None:
            raise ValueError("THREELANE_CONSOLE_HOST needs THREELANE_CONSOLE_PORT: set it as well, or neither")
        return self

    @model_validator(mode="after")
    def _a_certificate_has_a_key(self) -> Self:
        if bool(self.api_tls_cert) != bool(self.api_tls_key):
            raise ValueError("set both THREELANE_API_TLS_CERT and THREELANE_API_TLS_KEY, or neither")
        return self

    @model_validator(mode="after")
    def _the_longest_list_fits(self) -> Self:
        if self.api_memory_mib and self.api_memory_mib < self.least_memory_mib:
            raise ValueError(
                f"THREELANE_API_MEMORY_MIB must be at least {self.least_memory_mib:g} with a THREELANE_API_BODY_MIB of "
                f"{self.api_body_mib:g}: one producer may use half of the {LIST_SHARE:.0%} that lists may use"
            )
        return self

    @property
    def least_memory_mib(self) -> float:
        """The least memory with which a longest list fits into a producer's share."""
        return float(math.ceil(2 * (self.api_body_mib + LIST_MIB) / LIST_SHARE))


T = TypeVar("T", bound=Settings)


class InvalidSettings(ThreelaneError):
    """The environment is invalid; the text names each variable, the reason and a valid value."""


def load(kind: type[T], **given: Any) -> T:
    """Return the settings; raises InvalidSettings with a line for each invalid variable or gateway."""
    if wrong := [*gateway_problems()]:
        raise InvalidSettings("\n".join(f"  {one}" for one in wrong))
    try:
        own = accounts_file.of_process(kind, os.environ, given, REGISTER)
    except accounts_file.InvalidAccounts as invalid:
        raise InvalidSettings("\n".join(f"  {one}" for one in invalid.problems)) from None
    return load_of(kind, own, **given)


def load_of(kind: type[T], own: OfProcess, **given: Any) -> T:
    """Return the settings of an account; raises InvalidSettings with a line for each invalid variable or key."""
    try:
        return kind(**(secret_files.read_all(kind, os.environ) | own.values | given))
    except secret_files.InvalidSecretFile as wrong:
        raise InvalidSettings(str(wrong)) from None
    except ValidationError as invalid:
        raise InvalidSettings("\n".join(_lines(invalid, own))) from None


def _lines(invalid: ValidationError, own: OfProcess) -> Iterator[str]:
    """Yield a line for each invalid value: that of a variable, or that of an account of a file."""
    if own.file:
        yield from (f"  {one}" for one in own.file.lines(own.name, invalid))
        return
    yield from (_line(error["loc"], error["msg"]) for error in invalid.errors(include_input=False))


def load_or_exit(kind: type[T], **given: Any) -> T:
    """Return the settings; ends the process with code 2 and the reasons on standard error if they are invalid."""
    if wrong := [*gateway_problems()]:
        print("\n".join(f"threelane: {one}" for one in wrong), file=sys.stderr)
        raise SystemExit(2)
    try:
        return load(kind, **given)
    except InvalidSettings as invalid:
        print(f"threelane: invalid settings\n{invalid}", file=sys.stderr)
        raise SystemExit(2) from None


def gateway_problems() -> Iterator[str]:
    """Yield a sentence for each invalid gateway folder, and for each credential that has the name of a setting."""
    yield from gateways.register().problems
    own = {name for kind in REGISTER if kind.__name__ != CREDENTIALS for name in _own(kind)}
    for credential, needed in gateways.credentials():
        if credential.name in own:
            yield f"gateway {needed[0]}: its credential {credential.name} is the name of another setting"


def _own(kind: type[Settings]) -> Iterator[str]:
    """Yield the names that a class has and did not inherit."""
    yield from vars(kind)
    yield from vars(kind).get("__annotations__", {})


def _without_tls_options(url: SecretStr) -> SecretStr:
    """Reject TLS options in an address: they could disable the check of the certificate."""
    if "ssl_" in urlsplit(url.get_secret_value()).query:
        raise ValueError(
            "leave ssl_... out of the address: with rediss:// the certificate is always checked; set its CA with "
            "THREELANE_REDIS_CA_FILE"
        )
    return url


def _has_kombu() -> bool:
    try:
        return "kombu" in sys.modules or find_spec("kombu") is not None  # once it is loaded, it hides its spec
    except ImportError:
        return False


def _is_an_address_of_rabbitmq(url: str) -> bool:
    return url.startswith(("amqp://", "amqps://", "pyamqp://"))


def _is_an_address_of_a_broker(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in BROKER_SCHEMES and parts.port != 0
    except ValueError:  # of the port; its text may contain part of the password
        return False


def _line(where: tuple[int | str, ...], problem: str) -> str:
    variable = f"THREELANE_{str(where[0]).upper()}" if where else "settings"
    return f"  {variable}: {problem.removeprefix('Value error, ')}"

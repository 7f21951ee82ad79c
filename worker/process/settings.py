"""Settings of the worker side: the account, rates and ports."""

from __future__ import annotations

import re
import socket
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple, Self
from urllib.parse import urlsplit

from pydantic import (
    AllowInfNan,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    create_model,
    field_validator,
    model_validator,
)
from pydantic_settings import NoDecode

from threelane.contract import gateways, text
from threelane.contract.accounts.account import CREDITS, DEFAULT
from threelane.contract.features import able
from threelane.contract.prices import CREDIT
from threelane.runtime.account_keys import Needs, OwnOfAccount, PerAccount, setting_needed
from threelane.runtime.settings import Settings
from threelane.store.keys import Space, space_of

MAX_PARTS = 3
MOST_OF_AN_ID = 12  # letters of an API id; what is longer is a key

Reserves = Annotated[tuple[Annotated[NonNegativeFloat, AllowInfNan(False)], ...], NoDecode]
CommaList = Annotated[tuple[Annotated[PositiveFloat, AllowInfNan(False)], ...], NoDecode]


class ReceiptSettings(Settings, heading="Receipts and replies", read_by="`threelane worker` and `threelane callbacks`"):
    """How long to wait for receipts."""

    receipt_delays_seconds: CommaList = Field(
        (600, 3600, 43200, 86400),
        description="waits before the gateway is queried for a missing receipt; the last one repeats",
    )
    late_after_seconds: PositiveFloat = Field(
        30.0,
        description="lane 1: a message without a final receipt this long after accept or due time gets a `late` event",
    )

    words_file: Path | None = Field(None, description="STOP, START and HELP words in more languages and countries")
    near_stop: Literal["suppress-us", "suppress", "report", "off"] = Field(
        "suppress-us",
        description='a reply such as "stop please": `suppress-us`: suppress a sender of +1, report others to the '
        "producer; `suppress`: every sender; `report`: only report; `off`: neither",
    )

    stop_confirmation: str = Field(
        "",
        description="text of the one message that confirms a STOP within five minutes, at most one SMS; unset: none is "
        "sent",
    )

    @field_validator("stop_confirmation")
    @classmethod
    def _stripped(cls, value: str) -> str:
        return value.strip()

    @model_validator(mode="after")
    def _a_confirmation_is_one_sms(self) -> Self:
        if text.measure(self.stop_confirmation, alphabet=self.alphabet).parts > 1:
            raise ValueError(
                "THREELANE_STOP_CONFIRMATION is longer than one SMS: 160 letters, or 70 outside the GSM alphabet"
            )
        return self

    @field_validator("receipt_delays_seconds", mode="before")
    @classmethod
    def _comma_list(cls, value: Any) -> Any:
        return tuple(value.split(",")) if isinstance(value, str) else value

    @field_validator("receipt_delays_seconds")
    @classmethod
    def _is_queried(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value:
            raise ValueError("at least one wait is required, in seconds")
        return value

    @property
    def keeping(self) -> Keeping:
        """The times in milliseconds, for the scripts."""
        return Keeping(
            self.retention_ms, int(self.receipt_delays_seconds[0] * 1000), int(self.late_after_seconds * 1000)
        )


class Keeping(NamedTuple):
    """How long a message is remembered, and how long its receipt is awaited; milliseconds."""

    keep: int
    first_poll: int
    late: int


class Inference(NamedTuple):
    """What it takes to hold a sender or a prefix because of codes of its messages, and how often one tests it."""

    prefix_numbers: int = 5  # different ones that must fail; a sender needs one
    prefix_probe_seconds: float = 60.0
    sender_probe_seconds: float = 600.0


CAUTIOUS = Inference()


def _credentials() -> type[Settings]:
    """Return a settings class with a field for each credential that a gateway declares."""
    fields: dict[str, Any] = {}
    for one, needed in gateways.credentials():
        meaning = f"{one.description}; for {', '.join(f'`{name}`' for name in needed)}"
        if one.name in Settings.model_fields:  # no process would start with it
            continue
        kind: Any = OwnOfAccount[SecretStr] if one.secret else OwnOfAccount[str]
        default = SecretStr("") if one.secret else ""
        fields[one.name] = (kind, Field(default, repr=one.shown, description=meaning))
    section = {"heading": "Credentials", "read_by": "`threelane worker`, and commands that query the gateway"}
    return create_model("CredentialSettings", __base__=Settings, __module__=__name__, __cls_kwargs__=section, **fields)


if TYPE_CHECKING:  # the real fields come from the gateways; type checkers and editors know these

    class CredentialSettings(Settings, heading="", read_by=""):
        """The credentials of the gateways; each needs some of them."""

        clickatell_api_id: str = ""
        clickatell_user: str = ""
        clickatell_password: SecretStr = SecretStr("")
        clickatell_token: SecretStr = SecretStr("")
        clickatell_api_key: SecretStr = SecretStr("")
else:
    CredentialSettings = _credentials()


class AccountsFileSettings(
    Settings,
    heading="Several accounts",
    read_by="`threelane worker`, `callbacks`, `check` and `route explain`",
):
    """Where several accounts, and the routes to them, stand."""

    accounts_file: Path | None = Field(
        None,
        description="accounts besides that of the environment, and the routes of messages to them, TOML "
        "([accounts](accounts.md))",
    )

    @field_validator("accounts_file", mode="before")
    @classmethod
    def _none_if_empty(cls, path: Any) -> Any:
        return path or None  # as compose gives a variable that is not set


class AccountSettings(
    CredentialSettings,
    AccountsFileSettings,
    heading="The account",
    read_by="`threelane worker`, and commands that query the gateway",
):
    """The account at Clickatell; only for workers and commands that query the gateway."""

    account: str = Field(
        DEFAULT,
        description="the account that this process serves: one of `THREELANE_ACCOUNTS_FILE`, or `default`, that of the "
        "environment",
    )
    currency: OwnOfAccount[str] = Field(
        CREDITS, description="the currency of the balance and the prices: `credits`, or three capital letters as in EUR"
    )
    gateway_url: OwnOfAccount[str] = Field("", description="base address of the gateway; unset: the API's own")
    gateway_sessions: PerAccount[bool] = Field(
        False, description="all workers share one login session (HTTP and XML APIs only)"
    )
    gateway_timeout_seconds: PerAccount[PositiveFloat] = Field(10.0, description="total timeout of one gateway call")

    @field_validator("account")
    @classmethod
    def _an_account(cls, name: str) -> str:
        return name or DEFAULT

    @field_validator("currency")
    @classmethod
    def _a_currency(cls, currency: str) -> str:
        if currency != CREDITS and not re.fullmatch("[A-Z]{3}", currency):
            raise ValueError(f"write {CREDITS}, or three capital letters as in EUR")
        return currency

    @field_validator("gateway_url")
    @classmethod
    def _an_address_of_a_gateway(cls, url: str) -> str:
        if url and not gateways.is_http_url(url):
            raise ValueError("not an http:// or https:// URL with a host; write https://host or http://host:8085")
        if "@" in urlsplit(url).netloc:  # logs and reports show the address
            raise ValueError(
                "it has a user or a password, which logs would show; write https://host alone, and the credentials "
                "into their own settings"
            )
        return url

    @property
    def space(self) -> Space:
        """The space of the account: its keys, and its queues on the broker."""
        return space_of("" if self.account == DEFAULT else self.account)

    @property
    def gateway_address(self) -> str:
        """The effective base address, without a trailing slash."""
        return (self.gateway_url or gateways.named(self.gateway).address).rstrip("/")

    def credential(self, name: str) -> str:
        """Return a declared credential in plain text; empty if it is not set."""
        value: str | SecretStr = getattr(self, name)
        return value.get_secret_value() if isinstance(value, SecretStr) else value

    @cached_property
    def fingerprint(self) -> str:
        """A digest that identifies these credentials without revealing them."""
        given = ((one.name, self.credential(one.name)) for one, _ in gateways.credentials())
        whole = "\0".join((self.gateway, self.gateway_address, *(f"{name}={value}" for name, value in given if value)))
        return blake2b(whole.encode(), digest_size=8).hexdigest()

    @cached_property
    def gateway_fingerprint(self) -> str:
        """A digest that identifies the API, its address and the account, without revealing a secret."""
        chosen = gateways.named(self.gateway)
        names = chosen.account or tuple(one.name for one in chosen.credentials)
        whole = "\0".join((self.gateway, self.gateway_address, *map(self.credential, names)))
        return blake2b(whole.encode(), digest_size=8).hexdigest()

    @property
    def login(self) -> str:
        """The account for logs: user and API id if set, never a secret."""
        chosen = gateways.named(self.gateway)
        shown = {one.name: one.shown for one in chosen.credentials}
        values = ((name, self.credential(name)) for name in chosen.account)
        words = [
            value if shown[name] or len(value) <= MOST_OF_AN_ID else f"{value[:4]}..."  # it may be a key
            for name, value in values
        ]
        return "/".join(words) or f"by the key of {self.gateway}"


class WorkerSettings(AccountSettings, ReceiptSettings, heading="Workers", read_by="`threelane worker`"):
    """Settings of workers: rates, timeouts and retention."""

    worker_name: str = Field(
        default_factory=socket.gethostname,
        description="the name under which this worker reports; further workers of one name are called name-2, name-3",
    )
    run_dir: Path | None = Field(
        None,
        description="the absolute path of the run folder, in which the workers of a host announce themselves; unset: "
        "`/run/threelane` if it is writable, `$XDG_RUNTIME_DIR/threelane`, or a folder of this user below the "
        "temporary folder",
    )
    remote_control: Literal["off", "inspect"] = Field(
        "off",
        description="`inspect`: workers respond to the commands of Celery and Flower that only read, such as `ping`",
    )
    threads: PositiveInt | None = Field(
        None,
        description="nudges that one process handles at once; if more than one, one thread is reserved for lane 1; "
        "unset: 8, or 32 if the API takes many messages per request",
    )
    gateway_connections: PerAccount[PositiveInt] = Field(
        64, description="maximum concurrent gateway calls per process; one eighth is reserved for lane 1"
    )
    parts_per_second: PerAccount[PositiveFloat] = Field(
        100.0, description="message parts per second, of all workers together"
    )
    burst_seconds: PerAccount[PositiveFloat] = Field(1.0, description="maximum burst, in seconds' worth of the rate")
    lower_lane_share: PerAccount[float] = Field(
        0.1,
        gt=0,
        lt=0.5,
        description="share of the rate that lanes 2 and 3 are each guaranteed while a higher lane has messages waiting",
    )
    ramp_seconds: PerAccount[NonNegativeFloat] = Field(
        5.0, description="how long the rate takes to recover after a resume"
    )
    reserve_credits: OwnOfAccount[Reserves] = Field(
        (0, 0),
        description="credits reserved for lane 1, and additional credits for lane 2; below these limits, "
        "lower lanes wait",
    )
    balance_seconds: PerAccount[PositiveFloat] = Field(
        60.0, description="how often one of the workers reads the balance"
    )
    on_credit: PerAccount[Literal["auto", "ask"]] = Field(
        "auto",
        description="after a top-up: `auto` redrives the messages refused for lack of credit, `ask` leaves that to you",
    )
    breaker_failures: PerAccount[PositiveInt] = Field(
        10, description="failed gateway calls in a row of one process that stop all workers of the address"
    )
    probe_seconds: PerAccount[PositiveFloat] = Field(
        1.0, description="wait before the first probe of a gateway that does not answer; it doubles with each probe"
    )
    most_probe_seconds: PerAccount[PositiveFloat] = Field(5.0, description="longest wait between two such probes")
    lease_seconds: PerAccount[PositiveFloat] = Field(
        60.0, description="after this, an attempt without a result is in doubt"
    )
    retry_every_seconds: PositiveFloat | None = Field(
        None, description="fixed wait between retries, instead of the back-off of each code"
    )
    stop_retrying_after_seconds: PositiveFloat | None = Field(
        None,
        description="stop retrying this long after the first attempt, instead of after each code's number of attempts",
    )
    policy_file: PerAccount[Path | None] = Field(None, description="the operator's changes to the policy tables")
    hold_prefix_numbers: PerAccount[PositiveInt] = Field(
        5,
        le=50,
        description="a prefix is on hold once this many of its numbers, and most messages there, have failed with 114",
    )
    hold_prefix_probe_seconds: PerAccount[PositiveFloat] = Field(
        60.0, description="how often one message may test a prefix on hold; an accepted one lifts the hold"
    )
    hold_sender_probe_seconds: PerAccount[PositiveFloat] = Field(
        600.0, description="the same for a sender that a country refuses (106, 123)"
    )
    doubt_delays_seconds: PerAccount[CommaList] = Field(
        (5, 30, 120, 300, 900),
        description="waits before each look-up of a message in doubt; their sum is the longest grace period",
    )
    second_doubt: PerAccount[Literal["unknown", "dead"]] = Field(
        "unknown",
        description="a message that is in doubt again after it was sent again from doubt: `unknown` ends it, `dead` "
        "makes it a dead letter that an operator may redrive; it is never sent a third time on its own",
    )
    look_ups_per_second: PerAccount[PositiveFloat] = Field(
        20.0, description="requests per second that look messages up, of all workers together"
    )
    most_look_ups_per_second: PerAccount[PositiveFloat] = Field(
        100.0,
        description="the same while many look-ups are due; a value below THREELANE_LOOK_UPS_PER_SECOND has no effect",
    )
    allow_only: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="for staging: send only to these numbers, or prefixes with a *; others are emulated"
    )
    erase_after_days: PositiveFloat | None = Field(
        None,
        description="how long a message's number and text are kept after its final state; unset: as long as its record",
    )
    events_kept: PositiveInt = Field(200_000, description="maximum number of events in the event stream")
    sweep_seconds: PositiveFloat = Field(10.0, description="how often one worker sweeps for lost nudges")
    lost_nudge_seconds: PositiveFloat = Field(
        30.0,
        description="a waiting message counts as having lost its nudge when its lane has claimed messages "
        "queued this much later",
    )
    metrics_host: str = Field("127.0.0.1", description="address on which /metrics listens")
    metrics_port: int | None = Field(
        None,
        ge=0,
        le=65535,
        description="port of /metrics; 0: any free one; unset: 9464, or the first free one from 9468 to 9563",
    )

    @property
    def wanted_name(self) -> str:
        """The name of the first worker of the account on a host: the one that is set, or that of the host.

        After that of the host comes an account of the file.
        """
        is_given = "worker_name" in self.model_fields_set or self.account == DEFAULT
        return self.worker_name if is_given else f"{self.worker_name}-{self.account}"

    @property
    def nudges_at_once(self) -> int:
        """How many nudges one process handles at once.

        A request for a hundred messages mostly waits for its response, so many can wait at once.
        """
        return self.threads or (32 if able("many a request", self.gateway) else 8)

    @property
    def lease_ms(self) -> int:
        """The lease in milliseconds."""
        return int(self.lease_seconds * 1000)

    @property
    def erase_after_ms(self) -> int:
        """How long numbers and texts are kept, in milliseconds."""
        return int((self.erase_after_days or self.retention_days) * 24 * 3600 * 1000)

    @property
    def ramp_ms(self) -> int:
        """The ramp in milliseconds."""
        return int(self.ramp_seconds * 1000)

    @property
    def most_probe_ms(self) -> int:
        """The longest wait between probes, in milliseconds."""
        return int(max(self.probe_seconds, self.most_probe_seconds) * 1000)

    @property
    def burst(self) -> float:
        """The most parts that may be sent at once; one long message fits even beside the reserve of lane 1."""
        return max(self.parts_per_second * self.burst_seconds, 2 * MAX_PARTS)

    @property
    def inference(self) -> Inference:
        """What it takes to hold a sender or a prefix."""
        return Inference(
            prefix_numbers=self.hold_prefix_numbers,
            prefix_probe_seconds=self.hold_prefix_probe_seconds,
            sender_probe_seconds=self.hold_sender_probe_seconds,
        )

    def floor(self, lane: int) -> int:
        """The credits that a lane leaves to those above it, in millionths."""
        return int(sum(self.reserve_credits[: lane - 1]) * CREDIT)

    def reserve(self, lane: int) -> float:
        """The parts that a lane leaves in the bucket for the lanes above it."""
        return self.burst * 0.1 * (lane - 1)

    @field_validator("doubt_delays_seconds", "reserve_credits", mode="before")
    @classmethod
    def _comma_lists(cls, value: Any) -> Any:
        return tuple(value.split(",")) if isinstance(value, str) else value

    @field_validator("reserve_credits")
    @classmethod
    def _for_one_lane_or_two(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if len(value) not in (1, 2):
            count = f"{len(value)} values" if value else "no value"
            raise ValueError(
                f"this has {count}; give one number, the credits reserved for lane 1, or two: those and the additional "
                "credits for lane 2"
            )
        return value

    @field_validator("allow_only", mode="before")
    @classmethod
    def _list_of_numbers(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return tuple(one.strip().removeprefix("+") for one in value.split(",")) if value.strip() else ()

    @field_validator("allow_only")
    @classmethod
    def _numbers_or_prefixes(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(re.fullmatch(r"[0-9]+\*?", one) for one in value):
            raise ValueError("write numbers with their country code, or prefixes with a *, as in 27831234567,2799*")
        return value

    @field_validator("doubt_delays_seconds")
    @classmethod
    def _has_a_look_up(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if not value:
            raise ValueError("at least one look-up is required before a message in doubt is sent again")
        return value

    @model_validator(mode="after")
    def _nothing_outlives_its_record(self) -> Self:
        if self.erase_after_days and self.erase_after_days > self.retention_days:
            raise ValueError(
                f"THREELANE_ERASE_AFTER_DAYS={self.erase_after_days:g} exceeds "
                f"THREELANE_RETENTION_DAYS={self.retention_days:g}, after which nothing is left to erase"
            )
        return self

    @model_validator(mode="after")
    def _a_lease_outlives_a_send(self) -> Self:
        if self.lease_seconds <= 2 * self.gateway_timeout_seconds:
            raise ValueError(
                f"THREELANE_LEASE_SECONDS={self.lease_seconds:g} must be more than twice "
                f"THREELANE_GATEWAY_TIMEOUT_SECONDS={self.gateway_timeout_seconds:g}: a lease outlives a send"
            )
        return self


def _protects(secret: str) -> bool:
    return len(secret) >= 16 and secret.isascii() and secret.isalnum()


class CallbackSettings(
    ReceiptSettings, AccountsFileSettings, heading="The callback endpoint", read_by="`threelane callbacks`"
):
    """Settings of the callback endpoint."""

    callbacks_host: str = Field("127.0.0.1", description="address on which the callback endpoint listens")
    callbacks_port: NonNegativeInt = Field(8081, le=65535, description="port of the callback endpoint; 0: any free one")
    callback_secret: OwnOfAccount[SecretStr] = Field(
        SecretStr(""), description="secret path segment of the callback URL; at least 16 letters and digits"
    )
    callback_secret_previous: Annotated[OwnOfAccount[SecretStr], Needs("callback_secret")] = Field(
        SecretStr(""), description="the secret before it, accepted as well until Clickatell uses the new one"
    )
    callback_user: Annotated[OwnOfAccount[str], Needs("callback_password")] = Field(
        "", description="user name for basic authentication, if Clickatell is set up to send it with callbacks"
    )
    callback_password: Annotated[OwnOfAccount[SecretStr], Needs("callback_user")] = Field(
        SecretStr(""), description="password of basic authentication"
    )
    callback_password_previous: Annotated[OwnOfAccount[SecretStr], Needs("callback_user")] = Field(
        SecretStr(""), description="the password before it, accepted as well until Clickatell uses the new one"
    )
    callbacks_connections: PositiveInt = Field(
        1_000, description="maximum connections of one process; fewer if its limit of open files is low"
    )
    callbacks_connections_per_address: PositiveInt | None = Field(
        None,
        description="the same from one address; unset: no limit of its own, as all callbacks through a proxy share one",
    )
    callbacks_head_seconds: PositiveFloat = Field(
        10.0, description="how long the head of a callback may take to arrive, and then its body"
    )
    metrics_host: str = Field("127.0.0.1", description="address on which /metrics listens")
    metrics_port: NonNegativeInt = Field(9465, le=65535, description="port of /metrics; 0: any free one")

    @model_validator(mode="after")
    def _the_endpoint_is_protected(self) -> Self:
        secret, previous = self.callback_secret.get_secret_value(), self.callback_secret_previous.get_secret_value()
        is_absent = self.accounts_file is not None and not secret and not previous  # only accounts of the file have one
        if not is_absent and not _protects(secret):
            raise ValueError(
                "THREELANE_CALLBACK_SECRET must be at least 16 letters and digits: it protects the endpoint"
            )
        if previous and not _protects(previous):
            raise ValueError("THREELANE_CALLBACK_SECRET_PREVIOUS must be at least 16 letters and digits, as the secret")
        for name, field in type(self).model_fields.items():
            if (other := setting_needed(field)) and getattr(self, name) and not getattr(self, other):
                raise ValueError(
                    f"THREELANE_{name.upper()} needs THREELANE_{other.upper()}, which has no value on this host; "
                    "set both, or neither"
                )
        return self


class ExporterSettings(Settings, heading="The exporter", read_by="`threelane exporter`"):
    """Settings of the exporter of fleet metrics."""

    metrics_host: str = Field("127.0.0.1", description="address on which /metrics listens")
    metrics_port: NonNegativeInt = Field(9466, le=65535, description="port of /metrics; 0: any free one")


class WebhookSettings(Settings, heading="Webhooks", read_by="`threelane webhooks`"):
    """Settings of the webhook dispatcher."""

    webhook_timeout_seconds: PositiveFloat = Field(10.0, description="timeout of one webhook call in total")
    webhook_delays_seconds: Annotated[tuple[PositiveFloat, ...], NoDecode] = Field(
        (5, 30, 120, 600, 3600, 10800, 21600, 43200, 86400, 86400),
        description="wait before each further attempt; after the last attempt, the event is set aside",
    )
    webhook_connections: PositiveInt = Field(8, description="maximum concurrent posts per process to one producer")
    webhook_backlog: PositiveInt = Field(
        100_000, description="maximum undelivered events per producer; further events are dropped"
    )
    webhook_private_addresses: bool = Field(False, description="allow webhooks to private and loopback addresses")
    metrics_host: str = Field("127.0.0.1", description="address on which /metrics listens")
    metrics_port: NonNegativeInt = Field(9467, le=65535, description="port of /metrics; 0: any free one")

    @property
    def lease_ms(self) -> int:
        """The lease of one attempt by a dispatcher, in milliseconds: a lease outlives a post."""
        return int((2 * self.webhook_timeout_seconds + 5) * 1000)

    @field_validator("webhook_delays_seconds", mode="before")
    @classmethod
    def _comma_list(cls, value: Any) -> Any:
        return tuple(value.split(",")) if isinstance(value, str) else value

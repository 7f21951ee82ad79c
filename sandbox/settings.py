"""The sandbox's settings: frozen, each also read from `THREELANE_SANDBOX_<NAME>`."""

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from threelane.sandbox.apis import CallbackForm

Price = Annotated[Decimal, Field(ge=0, allow_inf_nan=False)]
_STATUS_PATH: Final = "/status"
Prefixes = Annotated[tuple[str, ...], NoDecode]


class SandboxSettings(BaseSettings):
    """The settings of one sandbox; those named in LIVE may be changed while it runs."""

    model_config = SettingsConfigDict(env_prefix="THREELANE_SANDBOX_", frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(default=8077, ge=0, le=65535)  # 0 picks a free one
    seed: int | None = None  # None picks one at random, so ids differ from run to run

    api_id: str = "sandbox"
    user: str = "sandbox"
    password: SecretStr = SecretStr("sandbox")
    rest_token: SecretStr = SecretStr("sandbox")
    api_key: SecretStr = SecretStr("sandbox")  # of the One API and Platform REST
    session_seconds: PositiveFloat = 900.0

    credit: Price = Decimal(100_000)
    default_price: Price = Decimal("0.8")  # credits per part
    price: Annotated[dict[str, Price], NoDecode] = Field(default_factory=dict)  # by prefix; the longest match applies
    unrouted: Prefixes = ("999",)  # prefixes refused with 114
    senders: Prefixes = ()  # registered sender ids; empty allows any
    do_not_contact: Prefixes = ()  # numbers refused with 121, unless the request bypasses the list
    default_concat: int = Field(default=3, ge=1, le=3)  # parts allowed when a request sets no limit
    most_validity_minutes: PositiveInt = 7 * 24 * 60  # longer validity periods are refused
    one_api_most: PositiveInt = 100  # most messages in one request of the One API

    latency_ms: NonNegativeFloat = 0.0
    latency_jitter_ms: NonNegativeFloat = 0.0
    lookup_lag_seconds: NonNegativeFloat = 0.0
    gateway_after_seconds: NonNegativeFloat = 0.05
    handset_after_seconds: NonNegativeFloat = 0.2
    schedule_scale: NonNegativeFloat = 1.0  # 1 waits the real time

    callback_url: str | None = None
    reply_url: str | None = None  # of the Central APIs' replies; else callback_url with its last /status as /mo
    one_callback_url: str | None = None  # of the One API; else as /one
    platform_callback_url: str | None = None  # of Platform REST; else as /platform
    callback_method: CallbackForm = CallbackForm.POST
    callback_retry_scale: NonNegativeFloat = 1.0  # 1 waits real minutes
    callback_timeout_seconds: PositiveFloat = 10.0
    callback_connections: PositiveInt = 64

    ledger: Path | None = None  # appended with a JSON line for every message and status

    @field_validator("price", mode="before")
    @classmethod
    def _pairs(cls, value: Any) -> Any:
        """Reads `27=0.8,1=1.2`."""
        if not isinstance(value, str):
            return value
        prices: dict[str, str] = {}
        for pair in _listed(value):
            prefix, equals, price = pair.partition("=")
            if not equals or not prefix.isdecimal():
                raise ValueError(f"{pair!r} is not PREFIX=PRICE")
            prices[prefix] = price
        return prices

    @field_validator("unrouted", "senders", "do_not_contact", mode="before")
    @classmethod
    def _separated(cls, value: Any) -> Any:
        """Parses a comma-separated list."""
        return _listed(value) if isinstance(value, str) else value

    @field_validator("callback_url", "reply_url", "one_callback_url", "platform_callback_url")
    @classmethod
    def _web_address(cls, value: str | None) -> str | None:
        if not value:
            return None
        if not value.startswith(("http://", "https://")):
            raise ValueError("a callback URL starts with http:// or https://")
        return value

    @property
    def reply_callback(self) -> str | None:
        """Returns the callback URL for replies of the Central APIs, if one is set."""
        return self.reply_url or self.beside_status("/mo")

    @property
    def one_callback(self) -> str | None:
        """Returns the callback URL for statuses and replies of the One API, if one is set."""
        return self.one_callback_url or self.beside_status("/one")

    @property
    def platform_callback(self) -> str | None:
        """Returns the callback URL for statuses and replies of Platform REST, if one is set."""
        return self.platform_callback_url or self.beside_status("/platform")

    def beside_status(self, path: str) -> str | None:
        """Returns the callback URL with its final `/status` replaced, or None when it does not end in it."""
        address, question, query = (self.callback_url or "").partition("?")
        if not address.endswith(_STATUS_PATH):
            return None
        return f"{address.removesuffix(_STATUS_PATH)}{path}{question}{query}"


LIVE: Final = (
    "latency_ms",
    "latency_jitter_ms",
    "lookup_lag_seconds",
    "gateway_after_seconds",
    "handset_after_seconds",
    "schedule_scale",
    "callback_url",
    "reply_url",
    "one_callback_url",
    "platform_callback_url",
    "one_api_most",
    "most_validity_minutes",
    "callback_method",
    "callback_retry_scale",
    "callback_timeout_seconds",
)


def changed(settings: SandboxSettings, changes: dict[str, object]) -> SandboxSettings:
    """Returns the settings with those changes, validated as at start."""
    present: dict[str, Any] = {name: getattr(settings, name) for name in SandboxSettings.model_fields}
    return SandboxSettings(**{**present, **changes})


def _listed(value: str) -> list[str]:
    return [item.strip() for item in value.split(",") if item.strip()]

"""The account: credentials, credits, prices by prefix, vouchers and barred numbers."""

import hmac
from decimal import Decimal
from typing import Final

from threelane.sandbox.codes import GatewayRefusal, refusal
from threelane.sandbox.settings import SandboxSettings

_VOUCHER_DIGITS: Final = 16
_CREDIT_DIGITS: Final = 8
_EXPIRED_SERIAL: Final = "9"

OPTED_OUT: Final = "122"
DO_NOT_CONTACT: Final = "121"  # of a number on the list; the documents name no code
BARRED_CODES: Final = ("121", OPTED_OUT, "128")


def money(amount: Decimal) -> str:
    """Returns an amount in plain digits, with three decimals or as many more as it has."""
    exponent = amount.as_tuple().exponent
    decimals = max(3, -exponent) if isinstance(exponent, int) else 3
    return f"{amount:.{decimals}f}"


def _same(presented: str, secret: str) -> bool:
    """Compares in constant time."""
    return hmac.compare_digest(presented.encode("utf-8", "replace"), secret.encode())


class Account:
    """One customer account: always `balance == started_with + topped_up - charged`, and never below zero."""

    __slots__ = (
        "_api_key",
        "_default_price",
        "_password",
        "_prices",
        "_prices_by_length",
        "_rest_token",
        "_settings",
        "_unrouted",
        "_vouchers_used",
        "api_id",
        "balance",
        "barred",
        "charged",
        "do_not_contact",
        "started_with",
        "topped_up",
        "user",
    )

    def __init__(self, settings: SandboxSettings) -> None:
        self._settings = settings
        self._default_price = settings.default_price
        self._prices = settings.price
        self._prices_by_length = sorted({len(prefix) for prefix in settings.price}, reverse=True)
        self._unrouted = settings.unrouted
        self.reset(settings.credit)

    def reset(self, credit: Decimal) -> None:
        """Resets to that credit, and the credentials and list of the settings: nothing charged or barred."""
        self.admit(
            api_id=self._settings.api_id,
            user=self._settings.user,
            password=self._settings.password.get_secret_value(),
            rest_token=self._settings.rest_token.get_secret_value(),
            api_key=self._settings.api_key.get_secret_value(),
        )
        self.started_with = self.balance = credit
        self.topped_up = Decimal(0)
        self.charged = Decimal(0)
        self.barred: dict[str, str] = {}  # number -> 121, 122 or 128
        self.do_not_contact = set(self._settings.do_not_contact)
        self._vouchers_used: set[str] = set()

    def admit(self, *, api_id: str, user: str, password: str, rest_token: str, api_key: str) -> None:
        """Accepts these credentials from now on, and no others."""
        self.api_id, self.user = api_id, user
        self._password, self._rest_token, self._api_key = password, rest_token, api_key

    def change(
        self,
        *,
        api_id: str | None = None,
        user: str | None = None,
        password: str | None = None,
        rest_token: str | None = None,
        api_key: str | None = None,
    ) -> None:
        """Changes some credentials; those that were in use before are refused from now on."""
        self.admit(
            api_id=self.api_id if api_id is None else api_id,
            user=self.user if user is None else user,
            password=self._password if password is None else password,
            rest_token=self._rest_token if rest_token is None else rest_token,
            api_key=self._api_key if api_key is None else api_key,
        )

    def refuses(self, api_id: str | None, user: str | None, password: str | None) -> GatewayRefusal | None:
        """Returns why these credentials are invalid, or None when they are valid."""
        if user != self.user:
            return refusal("002")
        if not _same(password or "", self._password):
            return refusal("001")
        if api_id != self.api_id:
            return refusal("108")
        return None

    def refuses_token(self, token: str) -> GatewayRefusal | None:
        """Returns why this REST API token is invalid, or None when it is valid."""
        return None if _same(token, self._rest_token) else refusal("001")

    def refuses_key(self, key: str) -> GatewayRefusal | None:
        """Returns why this Platform API key is invalid, or None when it is valid."""
        return None if _same(key, self._api_key) else refusal("001")

    def price(self, number: str) -> Decimal | None:
        """Returns the price of one part to a number in credits, or None when there is no route."""
        if self._unrouted and number.startswith(self._unrouted):
            return None
        for length in self._prices_by_length:
            price = self._prices.get(number[:length])
            if price is not None:
                return price
        return self._default_price

    def pay(self, charge: Decimal) -> bool:
        """Deducts a charge and returns True, or returns False when the credit is too low."""
        if charge > self.balance:
            return False
        self.balance -= charge
        self.charged += charge
        return True

    def give_back(self, charge: Decimal) -> None:
        """Refunds a charge."""
        self.balance += charge
        self.charged -= charge

    def add(self, credits: Decimal) -> None:
        """Adds credits; a negative amount deducts."""
        self.balance += credits
        self.topped_up += credits

    def opt_out(self, number: str) -> None:
        """Bars a number whose owner opted out; a number that is already barred keeps its code."""
        self.barred.setdefault(number, OPTED_OUT)

    def opt_in(self, number: str) -> None:
        """Lifts the bar on a number whose owner had opted out."""
        if self.barred.get(number) == OPTED_OUT:
            del self.barred[number]

    def redeem(self, token: str) -> GatewayRefusal | None:
        """Redeems a test voucher once: eight digits of credits, eight of serial; a serial 9... is expired."""
        if len(token) != _VOUCHER_DIGITS or not (token.isascii() and token.isdecimal()):
            return refusal("606")
        credits, serial = int(token[:_CREDIT_DIGITS]), token[_CREDIT_DIGITS:]
        if credits == 0:
            return refusal("606")
        if serial.startswith(_EXPIRED_SERIAL) or token in self._vouchers_used:
            return refusal("607")
        self._vouchers_used.add(token)
        self.add(Decimal(credits))
        return None

    def as_json(self) -> dict[str, object]:
        """Returns the account as the control API shows it, without the password."""
        return {
            "api_id": self.api_id,
            "user": self.user,
            "balance": money(self.balance),
            "started_with": money(self.started_with),
            "topped_up": money(self.topped_up),
            "charged": money(self.charged),
            "default_price": format(self._default_price, "f"),
            "prices": {prefix: format(price, "f") for prefix, price in self._prices.items()},
            "unrouted": list(self._unrouted),
            "barred": self.barred,
            "do_not_contact": sorted(self.do_not_contact),
            "vouchers_used": len(self._vouchers_used),
        }

"""Drafting: each message is parsed and gets its account, by what this process has read from Redis for that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import redis
from msgspec import Struct
from redis.exceptions import RedisError

from threelane.contract import countries, message, phone, prices, senders
from threelane.contract.accounts.routing import Chosen
from threelane.contract.message import Draft, Message
from threelane.contract.reading import Reading
from threelane.contract.refusal import Refusal
from threelane.contract.text import Alphabet
from threelane.producer import routes as routing
from threelane.producer.outage import call
from threelane.producer.readings import Readings
from threelane.producer.routes import Routes
from threelane.producer.wording import StoredWording
from threelane.runtime import logs
from threelane.runtime.settings import ProducerSettings
from threelane.store.access import Holder

PRICES_MS = 60_000  # after which prices, accounts and routes are read again
ROUTES_MS = 100  # the same before a message is refused because of its account


class Caller(Struct, frozen=True, gc=False):
    """What the messages of one call have in common; ``now`` is the time of the call, in milliseconds."""

    now: int
    holder: Holder | None
    producer: str  # of messages that name none
    cost_centre: str  # the same
    names_account: bool  # it may know the names of accounts: a producer that only has a key to the API may not


class Routed(Struct, frozen=True, gc=False):  # nothing in it refers to it
    """A message to accept, its account, and what both follow from, in case the routes change meanwhile."""

    draft: Draft
    chosen: Chosen
    routes: Routes
    raw: Mapping[str, Any]
    caller: Caller

    @property
    def id(self) -> str:
        """The id of the message."""
        return self.draft.message.id

    @property
    def lane(self) -> int:
        """Its lane."""
        return self.draft.message.lane

    @property
    def place(self) -> tuple[int, str, str]:
        """What the messages of one call of accept have in common: lane, account and version of the routes."""
        return self.draft.message.lane, self.chosen.account, self.routes.version


class Drafter:
    """Parses messages and chooses their accounts; threads may share it."""

    def __init__(
        self, settings: ProducerSettings, connection: Callable[[], redis.Redis], numbers: Reading | None
    ) -> None:
        """Take ``connection``, which returns the Redis client or raises when it is closed."""
        self._settings = settings
        self._redis = connection
        self._readings = Readings(settings.reading, numbers)
        self._wording = StoredWording()
        self._numeric_countries = settings.numeric_countries
        self._countries = settings.allowed_countries
        self._own = routing.own_account(settings)
        self.routes = Routes(self._own)
        self._routes_at = 0

    def caller(self, now: int, holder: Holder | None) -> Caller:
        """Return what the messages of a call have in common: those of a key, or of this process."""
        if holder is None:
            return Caller(now, None, self._settings.producer, self._settings.cost_centre, names_account=True)
        key = holder.key
        return Caller(now, holder, key.producer, next(iter(key.cost_centres), ""), names_account=key.may_view)

    def learn(self, window: Iterable[Any], caller: Caller) -> None:
        """Read what the parsing of these messages needs from Redis: nothing of it is read once they are accepted."""
        self.refresh(caller.now)
        self._readings.learn(window, caller.producer, self._redis, caller.now)
        self._wording.learn(window, self._redis, caller.now)

    def refresh(self, now: int) -> None:
        """Read accounts, routes and prices once a minute."""
        if now - self._routes_at > PRICES_MS:
            call(lambda: self.read_routes(now))

    def read_routes(self, now: int) -> None:
        """Read accounts, routes and prices; raises RedisError."""
        self.routes, self._routes_at = routing.read(self._redis(), self._own), now

    def reading(self, caller: Caller) -> Reading:
        """Return how numbers without + or 00 are read: those of a key, or of this process."""
        self._readings.learn([{}], caller.producer, self._redis, caller.now)
        return self._readings.applying({}, caller.producer, caller.holder)

    def preview(self, raw: Mapping[str, Any], now: int) -> Draft | Refusal:
        """Return a message with its parts, by the letters of its account; whether it may be sent is not checked."""
        caller = self.caller(now, None)
        self.learn([raw], caller)
        return self._choose(raw, caller, self.routes)[0]

    def draft(self, raw: Mapping[str, Any], caller: Caller) -> Routed | Refusal:
        """Return a message with its account, or its refusal, which is logged."""
        if type(raw) is not dict and not isinstance(raw, Mapping):  # the latter is slow
            return message.not_an_object(raw)
        routes = self.routes
        chosen: Chosen | None = routing.NOT_CHOSEN
        parsed: Draft | Refusal
        if routes.has_one_choice:  # the usual installation, at no cost
            parsed = self._parse(raw, caller, routes.alphabets[0])
        else:
            parsed, chosen = self._choose(raw, caller, routes)
        found = parsed if isinstance(parsed, Refusal) else self._checked(parsed, chosen, routes, raw, caller)
        if isinstance(found, Refusal):
            logs.event("refused", code=found.code, field=found.field, to=phone.mask(str(raw.get("to", ""))))
        return found

    def draft_again(self, raw: Mapping[str, Any], caller: Caller, before: Draft) -> Routed | Refusal:
        """Return a message by the routes as they are read now, under the id that it has."""
        routes = self.routes
        draft, chosen = self._choose(raw, caller, routes, before)
        if isinstance(draft, Refusal):
            return draft
        fit = routes.fit(draft.message, chosen, names_account=caller.names_account)
        return fit if isinstance(fit, Refusal) else Routed(draft, fit, routes, raw, caller)

    def _checked(
        self, draft: Draft, chosen: Chosen | None, routes: Routes, raw: Mapping[str, Any], caller: Caller
    ) -> Routed | Refusal:
        """Return a message that its caller may send, and its account can take."""
        sms, holder = draft.message, caller.holder
        if refusal := (holder and holder.refuse(sms)) or (self._abroad(sms) if self._countries else None):
            return refusal
        fit = routes.fit(sms, chosen, names_account=caller.names_account)
        found = (
            self._by_fresh_routes(fit, raw, caller, draft)
            if isinstance(fit, Refusal)
            else Routed(draft, fit, routes, raw, caller)
        )
        if self._numeric_countries and not isinstance(found, Refusal):
            return senders.refuse(sms.sender, sms.to, self._numeric_countries) or found
        return found

    def _by_fresh_routes(
        self, refusal: Refusal, raw: Mapping[str, Any], caller: Caller, draft: Draft
    ) -> Routed | Refusal:
        """Return a message that its account cannot take by the routes of this moment, or its refusal."""
        if caller.now - self._routes_at <= ROUTES_MS:
            return refusal
        try:
            self.read_routes(caller.now)
        except RedisError:  # messages before it may be accepted: the outage ends the call where their answers are known
            return refusal
        return self.draft_again(raw, caller, draft)

    def _choose(
        self, raw: Mapping[str, Any], caller: Caller, routes: Routes, known: Draft | None = None
    ) -> tuple[Draft | Refusal, Chosen | None]:
        """Return a message with its account; its parts are by the letters that the gateway of this account gets.

        ``known`` has the id of a message that was parsed before: the account follows from the id, too.
        """
        first: Refusal | None = None
        for alphabet in routes.alphabets:
            draft = self._parse(raw, caller, alphabet, known)
            if isinstance(draft, Refusal):  # the letters of another account may need fewer parts
                first = first or draft
                continue
            chosen = routes.choose(draft.message, caller.now)
            if chosen is not None and (own := routes.accounts[chosen.account].alphabet) != alphabet:
                return self._parse(raw, caller, own, draft), chosen
            return draft, chosen
        assert first is not None  # an installation has an account
        return first, None

    def _parse(
        self, raw: Mapping[str, Any], caller: Caller, alphabet: Alphabet, known: Draft | None = None
    ) -> Draft | Refusal:
        """Parse a message by these letters, under the id that it has if it is known."""
        producer, centre = caller.producer, caller.cost_centre
        reading = self._readings.applying(raw, producer, caller.holder)
        centred, wire_ids = _with_centre(raw, centre) if centre else raw, self._settings.wire_ids
        draft = message.parse(centred, caller.now, producer, reading, self._wording, wire_ids, alphabet)
        return draft if known is None or isinstance(draft, Refusal) else routing.with_id_of(known, draft)

    def _abroad(self, sms: Message) -> Refusal | None:
        """Refuse a recipient in a country that this installation does not send to."""
        if (where := prices.country(sms.to)) in self._countries:
            return None
        remedy = f"THREELANE_COUNTRIES={countries.join(sorted({*self._countries, where}))}"
        return countries.refuse(where, self._countries, "THREELANE_COUNTRIES", remedy)


def _with_centre(raw: Mapping[str, Any], centre: str) -> Mapping[str, Any]:
    """Return the message, with a cost centre if it has none."""
    if any(name in raw for name in ("cost_centre", "costCentre", "cost_center", "costCenter")):
        return raw
    return {**raw, "cost_centre": centre}

"""Drafting: each message is parsed and gets its account, by what this process has read from Redis for that."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import redis
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


class Source(NamedTuple):
    """What a message is parsed from; ``now`` is the time of the call, in milliseconds."""

    raw: Mapping[str, Any]
    now: int
    holder: Holder | None

    @property
    def names_account(self) -> bool:
        """Whether the caller may know the names of accounts: a producer that only has a key to the API may not."""
        return self.holder is None or self.holder.key.may_view


class Routed(NamedTuple):
    """A message to accept, its account, and what both follow from, in case the routes change meanwhile."""

    draft: Draft
    chosen: Chosen
    routes: Routes
    source: Source

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
        return self.lane, self.chosen.account, self.routes.version


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

    def learn(self, now: int, window: Iterable[Any], holder: Holder | None) -> None:
        """Read what the parsing of these messages needs from Redis: nothing of it is read once they are accepted."""
        self.refresh(now)
        self._readings.learn(window, self._name(holder), self._redis, now)
        self._wording.learn(window, self._redis, now)

    def refresh(self, now: int) -> None:
        """Read accounts, routes and prices once a minute."""
        if now - self._routes_at > PRICES_MS:
            call(lambda: self.read_routes(now))

    def read_routes(self, now: int) -> None:
        """Read accounts, routes and prices; raises RedisError."""
        self.routes, self._routes_at = routing.read(self._redis(), self._own), now

    def reading(self, holder: Holder | None, now: int) -> Reading:
        """Return how numbers without + or 00 are read: those of a key, or of this process."""
        self._readings.learn([{}], self._name(holder), self._redis, now)
        return self._readings.applying({}, self._name(holder), holder)

    def preview(self, raw: Mapping[str, Any], now: int) -> Draft | Refusal:
        """Return a message with its parts, by the letters of its account; whether it may be sent is not checked."""
        self.learn(now, [raw], None)
        found = self._route(Source(raw, now, None))
        return found if isinstance(found, Refusal) else found[0]

    def draft(self, source: Source) -> Routed | Refusal:
        """Return a message with its account, or its refusal, which is logged."""
        raw = source.raw
        if type(raw) is not dict and not isinstance(raw, Mapping):  # the latter is slow
            return message.not_an_object(raw)
        parsed = self._route(source)
        found = parsed if isinstance(parsed, Refusal) else self._checked(*parsed, source)
        if isinstance(found, Refusal):
            logs.event("refused", code=found.code, field=found.field, to=phone.mask(str(raw.get("to", ""))))
        return found

    def draft_again(self, before: Routed) -> Routed | Refusal:
        """Return a message by the routes as they are read now, under the id that it has."""
        found = self._route(before.source, before.draft)
        if isinstance(found, Refusal):
            return found
        draft, chosen, routes = found
        fit = routes.fit(draft.message, chosen, names_account=before.source.names_account)
        return fit if isinstance(fit, Refusal) else Routed(draft, fit, routes, before.source)

    def _checked(self, draft: Draft, chosen: Chosen | None, routes: Routes, source: Source) -> Routed | Refusal:
        """Return a message that its caller may send, and its account can take."""
        sms, holder = draft.message, source.holder
        if refusal := (holder and holder.refuse(sms)) or (self._abroad(sms) if self._countries else None):
            return refusal
        found = self._fit(draft, chosen, routes, source)
        if self._numeric_countries and not isinstance(found, Refusal):
            return senders.refuse(sms.sender, sms.to, self._numeric_countries) or found
        return found

    def _fit(self, draft: Draft, chosen: Chosen | None, routes: Routes, source: Source) -> Routed | Refusal:
        """Return a message that its account can take; it is refused only by routes of this moment."""
        fit = routes.fit(draft.message, chosen, names_account=source.names_account)
        if isinstance(fit, Chosen):
            return Routed(draft, fit, routes, source)
        if source.now - self._routes_at <= ROUTES_MS:
            return fit
        try:
            self.read_routes(source.now)
        except RedisError:  # messages before it may be accepted: the outage ends the call where their answers are known
            return fit
        return self.draft_again(Routed(draft, routing.NOT_CHOSEN, routes, source))

    def _route(self, source: Source, known: Draft | None = None) -> tuple[Draft, Chosen | None, Routes] | Refusal:
        """Return a message with its account; its parts are by the letters that the gateway of this account gets.

        ``known`` has the id of a message that was parsed before: the account follows from the id, too.
        """
        routes = self.routes
        if routes.has_one_choice and known is None:  # the usual installation, at no cost
            draft = self._parse(source, routes.alphabets[0])
            return draft if isinstance(draft, Refusal) else (draft, routing.NOT_CHOSEN, routes)
        first: Refusal | None = None
        for alphabet in routes.alphabets:
            draft = self._parse(source, alphabet, known)
            if isinstance(draft, Refusal):  # the letters of another account may need fewer parts
                first = first or draft
                continue
            chosen = routes.choose(draft.message, source.now)
            if chosen is not None and (own := routes.accounts[chosen.account].alphabet) != alphabet:
                draft = self._parse(source, own, draft)
            return draft if isinstance(draft, Refusal) else (draft, chosen, routes)
        assert first is not None  # an installation has an account
        return first

    def _parse(self, source: Source, alphabet: Alphabet, known: Draft | None = None) -> Draft | Refusal:
        """Parse a message by these letters, under the id that it has if it is known."""
        raw, now, holder = source
        if holder is None:
            name, centre = self._settings.producer, self._settings.cost_centre
        else:
            key = holder.key
            name, centre = key.producer, key.cost_centres[0] if key.cost_centres else ""
        reading, wire_ids = self._readings.applying(raw, name, holder), self._settings.wire_ids
        draft = message.parse(_with_centre(raw, centre), now, name, reading, self._wording, wire_ids, alphabet)
        return draft if known is None or isinstance(draft, Refusal) else routing.with_id_of(known, draft)

    def _name(self, holder: Holder | None) -> str:
        return holder.key.producer if holder else self._settings.producer

    def _abroad(self, sms: Message) -> Refusal | None:
        """Refuse a recipient in a country that this installation does not send to."""
        if (where := prices.country(sms.to)) in self._countries:
            return None
        remedy = f"THREELANE_COUNTRIES={countries.join(sorted({*self._countries, where}))}"
        return countries.refuse(where, self._countries, "THREELANE_COUNTRIES", remedy)


def _with_centre(raw: Mapping[str, Any], centre: str) -> Mapping[str, Any]:
    """Return the message, with a cost centre if it has none."""
    if not centre or any(name in raw for name in ("cost_centre", "costCentre", "cost_center", "costCenter")):
        return raw
    return {**raw, "cost_centre": centre}

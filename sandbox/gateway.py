"""The gateway behind every API: accepts, finds and cancels messages, independent of the wire format."""

import math
import re
import time
from collections.abc import Callable, Sequence
from decimal import Decimal
from random import Random, SystemRandom
from typing import Final

from threelane.sandbox import numbers
from threelane.sandbox.account import DO_NOT_CONTACT, Account
from threelane.sandbox.attempts import Attempt, AttemptLog
from threelane.sandbox.batches import Batches
from threelane.sandbox.callbacks import Callbacks
from threelane.sandbox.codes import UNKNOWN, GatewayRefusal, refusal
from threelane.sandbox.faults import NOT_TAKEN, Do, Faults, FaultScript, ScriptedFault, Target
from threelane.sandbox.journey import Journey
from threelane.sandbox.ledger import Ledger, LedgerMessage
from threelane.sandbox.listening import Listener
from threelane.sandbox.order import Order, effects
from threelane.sandbox.replies import Replies
from threelane.sandbox.requests import RequestLog
from threelane.sandbox.sessions import Sessions
from threelane.sandbox.settings import SandboxSettings
from threelane.sandbox.timetable import Timetable

_NUMBER: Final = re.compile(r"[1-9][0-9]{6,14}")
_SEED_BITS: Final = 32
_NOTHING_WRONG: Final = FaultScript()  # never added to

# Codes whose text ends in the time until which they apply.
_UNTIL: Final = frozenset({"130"})


class SandboxGateway:
    """One account and the life of its messages."""

    def __init__(self, settings: SandboxSettings, clock: Callable[[], float] = time.time) -> None:
        self.settings = settings
        self.clock = clock
        self.started_at = clock()
        self.seed = settings.seed if settings.seed is not None else SystemRandom().getrandbits(_SEED_BITS)
        # A random generator for each use, so that a fault with a probability does not change the ids.
        self._ids, self.jitter = Random(f"{self.seed} ids"), Random(f"{self.seed} jitter")
        self.damage = Random(f"{self.seed} damage")
        self.account = Account(settings)
        self.ledger = Ledger(settings.ledger)
        self.attempts = AttemptLog()
        self.requests = RequestLog(clock)
        self.listener: Listener | None = None  # set by a sandbox that runs as a process
        self.faults = Faults(Random(f"{self.seed} faults"), clock)
        self.numbers = numbers.Numbers()
        self.sessions = Sessions(settings.session_seconds, self.new_id)
        self.batches = Batches(self.new_id, clock, lambda: self.settings)
        self.timetable = Timetable(clock)
        self.callbacks = Callbacks(self.timetable, clock, lambda: self.settings)
        self.replies = Replies(self.account, self.ledger, self.callbacks, clock, lambda: self.settings, self.seed)
        self._journey = Journey(self.account, self.ledger, self.callbacks, self.timetable, clock, lambda: self.settings)

    async def start(self) -> None:
        """Starts the clock and the callbacks."""
        self.timetable.start()
        await self.callbacks.start()

    async def stop(self) -> None:
        """Stops the clock and the callbacks, and closes the ledger."""
        self.timetable.stop()
        await self.callbacks.stop()
        self.ledger.close()

    def new_id(self) -> str:
        """Returns the next id, 32 hex digits."""
        return f"{self._ids.getrandbits(128):032x}"

    def reset(self, credit: Decimal) -> None:
        """Resets to that credit, without messages, replies, faults or barred numbers; the id sequence continues."""
        parts = (self.timetable, self.callbacks, self.ledger, self.attempts, self.faults, self.numbers, self.replies)
        for part in (*parts, self.requests, self.batches):
            part.clear()
        self.account.reset(credit)

    def script(self, api: str, targets: Sequence[Target], apart: bool = False) -> FaultScript:
        """Returns the faults of a request, from the armed faults and its magic recipients."""
        self.requests.describe(api, targets)
        magic = [index for index, target in enumerate(targets) if target.to.startswith(numbers.RANGE)]
        if not magic and not self.faults:
            return _NOTHING_WRONG
        script, now = self.faults.script(api, targets, apart), self.clock()
        for index in magic:
            target = targets[index]
            if fault := self.numbers.fault(target.to, target.client_id, now):
                script.add(fault, index)
        return script

    def whole(self, script: FaultScript) -> GatewayRefusal | None:
        """Returns the refusal of the whole request, if its script has one."""
        fault = script.whole
        return self._wording_of(fault) if fault else None

    def _wording_of(self, fault: ScriptedFault) -> GatewayRefusal:
        return self.wording(fault.code, fault.text, fault.seconds)

    def wording(self, code: str, text: str, seconds: float) -> GatewayRefusal:
        """Returns the refusal of a fault; the text of 130 ends in the time until which it applies."""
        full_text = text or refusal(code).text
        if code in _UNTIL and not full_text[-1].isdecimal():  # else the text already has a time
            full_text = f"{full_text} {math.ceil(self.clock() + seconds)}"
        return GatewayRefusal(code, full_text)

    def take(self, order: Order, to: str, script: FaultScript, index: int = 0) -> LedgerMessage | GatewayRefusal:
        """Accepts and charges a message for one recipient, or returns the refusal; a refusal costs nothing."""
        faults = [*script.at(index), *([script.wire] if script.wire else [])]
        refused = None if _NUMBER.fullmatch(to) else refusal("105")
        for fault in faults:
            if fault.do is Do.CODE and refused is None:
                refused = self._wording_of(fault)
        charge = refused or self._charge(order, to)
        if isinstance(charge, GatewayRefusal):
            self.refused(order.api, (Target("sendmsg", to, order.client_id),), charge, script)
            return charge
        now = self.clock()
        message = LedgerMessage(
            sequence=len(self.ledger.messages) + 1,
            api_id=self.account.api_id,
            id=self.new_id(),
            to=to,
            order=order,
            charge=charge,
            effects=effects(faults),
            at=now,
        )
        self._journey.begin(message)
        wire = script.wire.do if script.wire else ""
        denied = next((self._wording_of(fault) for fault in faults if fault.do is Do.CODE_AFTER), None)
        if denied is None:
            self.attempts.add(Attempt(now, order.api, order.client_id, to, id=message.id, fault=wire))
            return message
        done = wire or Do.CODE_AFTER
        self.attempts.add(Attempt(now, order.api, order.client_id, to, message.id, denied.code, denied.text, done))
        return denied

    def refused(self, api: str, targets: Sequence[Target], why: GatewayRefusal, script: FaultScript) -> None:
        """Records the attempts of a refused send."""
        wire, now = script.wire.do if script.wire else "", self.clock()
        for target in targets:
            attempt = Attempt(now, api, target.client_id, target.to, code=why.code, text=why.text, fault=wire)
            self.attempts.add(attempt)

    def lost(self, api: str, targets: Sequence[Target], script: FaultScript) -> None:
        """Records the attempts of a send that a transport fault keeps from being handled."""
        if script.wire is None or script.wire.do not in NOT_TAKEN:
            return
        for target in targets:
            self.attempts.add(Attempt(self.clock(), api, target.client_id, target.to, fault=script.wire.do))

    def find(self, id: str, client_id: str) -> LedgerMessage | GatewayRefusal:
        """Returns the message of a gateway id, or the latest visible one of a client id, with its current status."""
        if not id and not client_id:
            return refusal("109")
        self.requests.looked_up(id or client_id)
        self.timetable.run_due()
        if id:
            message = self.ledger.by_id(id)
            return refusal("103") if message is None or message.effects.unknown_id else message
        copies = self.ledger.copies(client_id)
        return next((message for message in copies if not self._hidden(message)), refusal("104"))

    def visible_status(self, message: LedgerMessage) -> str:
        """Returns the status a look-up shows: 001 while reporting lags."""
        return UNKNOWN if self._hidden(message) else message.status

    def route(self, number: str) -> Decimal | GatewayRefusal:
        """Returns the price of one part to a number in credits, or why it cannot be routed."""
        if not number:
            return refusal("101")
        if not number.isdecimal():
            return refusal("105")
        price = self.account.price(number)
        return refusal("114") if price is None else price

    def cancel(self, message: LedgerMessage) -> None:
        """Cancels a scheduled message; does nothing to any other."""
        self._journey.cancel(message)

    def _hidden(self, message: LedgerMessage) -> bool:
        lag = max(self.settings.lookup_lag_seconds, message.effects.hidden_seconds)
        return self.clock() < message.taken_at + lag

    def _charge(self, order: Order, to: str) -> Decimal | GatewayRefusal:
        """Charges a message, or returns why it is refused."""
        if to in self.account.barred:
            return refusal(self.account.barred[to])
        if to in self.account.do_not_contact and not order.bypasses_dnc:
            return refusal(DO_NOT_CONTACT)
        price = self.account.price(to)
        if price is None:
            return refusal("114")
        if order.max_credits is not None and price > order.max_credits:
            return refusal("302")
        charge = price * order.parts
        return charge if self.account.pay(charge) else refusal("301")

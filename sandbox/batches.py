"""Batches of the HTTP and XML APIs: a template and its options, sent to recipients until the batch ends.

Source: HTTP API Specification 2.2.7, chapter 10 and sections 8.2.5 and 8.2.13; XML API Specification, chapter 10.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from threelane.sandbox import central_order
from threelane.sandbox.apis import CREDENTIALS, ApiName
from threelane.sandbox.codes import GatewayRefusal, refusal
from threelane.sandbox.settings import SandboxSettings

LIFETIME_SECONDS: Final = 24 * 3600.0
_TOO_LONG: Final = "113"  # of a template, whose fields may make it shorter
_NOT_OPTIONS: Final = frozenset({*CREDENTIALS, "to", "text", "template", "batch_id"})
_PLACEHOLDER: Final = re.compile(r"#(field[0-9]{1,4})#")


class Batch(NamedTuple):
    """An open batch, by its HTTP API names: the template, and every option of a send except `to` and `text`."""

    template: str
    options: Mapping[str, str]
    ends_at: float

    @property
    def client_id(self) -> str:
        """Returns the client id that all messages of the batch share."""
        return self.options.get("climsgid", "")

    def text(self, fields: Mapping[str, str]) -> str:
        """Returns the text of one message; a placeholder without a value stays, and a template in hex has none."""
        return _PLACEHOLDER.sub(lambda found: fields.get(found[1], found[0]), self.template)


class Batches:
    """The open batches, by their ids."""

    __slots__ = ("_clock", "_new_id", "_open", "_settings")

    def __init__(
        self, new_id: Callable[[], str], clock: Callable[[], float], settings: Callable[[], SandboxSettings]
    ) -> None:
        self._new_id = new_id
        self._clock = clock
        self._settings = settings
        self._open: dict[str, Batch] = {}

    def clear(self) -> None:
        """Ends every batch."""
        self._open.clear()

    def start(self, api: ApiName, parameters: Mapping[str, str]) -> str | GatewayRefusal:
        """Returns the id of a new batch, or why its template or an option is refused; removes the expired ones."""
        template, now = parameters.get("template", ""), self._clock()
        if not template:
            return refusal("202")
        options = {name: value for name, value in parameters.items() if name not in _NOT_OPTIONS}
        order = central_order.read(api, {**options, "text": template}, self._settings(), now)
        if isinstance(order, GatewayRefusal) and order.code != _TOO_LONG:
            return order
        self._open = {id: batch for id, batch in self._open.items() if now < batch.ends_at}
        id = self._new_id()
        self._open[id] = Batch(template, options, now + LIFETIME_SECONDS)
        return id

    def find(self, id: str) -> Batch | GatewayRefusal:
        """Returns the open batch with that id."""
        batch = self._open.get(id)
        return refusal("201") if batch is None or self._clock() >= batch.ends_at else batch

    def end(self, id: str) -> GatewayRefusal | None:
        """Ends a batch, or returns why it cannot."""
        found = self.find(id)
        if isinstance(found, GatewayRefusal):
            return found
        del self._open[id]
        return None

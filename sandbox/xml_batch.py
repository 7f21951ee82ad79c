"""The batch elements of the XML API: `startBatch`, `sendItem`, `quickSend` and `endBatch`."""

from collections.abc import Callable, Mapping
from typing import Final

from threelane.sandbox.apis import ApiName
from threelane.sandbox.batches import Batches
from threelane.sandbox.codes import GatewayRefusal

_ITEM: Final = "sendItem"
SENDS: Final = frozenset({_ITEM, "quickSend"})


class XmlBatch:
    """The elements, each from its parameters by their HTTP API names."""

    def __init__(self, batches: Batches) -> None:
        self._batches = batches
        self.commands: dict[str, Callable[[Mapping[str, str]], Mapping[str, str] | GatewayRefusal]] = {
            "startBatch": self._start,
            "endBatch": self._end,
        }

    def client_id(self, parameters: Mapping[str, str]) -> str:
        """Returns the client id of a send, which its batch has; an empty one without a batch."""
        batch = self._batches.find(parameters.get("batch_id", ""))
        return "" if isinstance(batch, GatewayRefusal) else batch.client_id

    def message(
        self, tag: str, parameters: Mapping[str, str], children: Mapping[str, str]
    ) -> dict[str, str] | GatewayRefusal:
        """Returns the parameters of the messages of a send; only a `sendItem` fills the placeholders."""
        id = parameters.get("batch_id", "")
        batch = self._batches.find(id)
        if isinstance(batch, GatewayRefusal):
            return batch
        text = batch.text(children if tag == _ITEM else {})
        return {**batch.options, "batch_id": id, "to": parameters.get("to", ""), "text": text}

    def _start(self, parameters: Mapping[str, str]) -> Mapping[str, str] | GatewayRefusal:
        started = self._batches.start(ApiName.XML, parameters)
        return started if isinstance(started, GatewayRefusal) else {"batch_id": started}

    def _end(self, parameters: Mapping[str, str]) -> Mapping[str, str] | GatewayRefusal:
        return self._batches.end(parameters.get("batch_id", "")) or {"ok": ""}

"""A sandbox in a process of its own, for tests and demos: starts, calls and stops it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from http.client import HTTPConnection
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Final, Self
from urllib.parse import urlencode, urlsplit

from threelane.sandbox.apis import FORM_TYPE, JSON_TYPE

_CREDENTIALS: Final = {"api_id": "sandbox", "user": "sandbox", "password": "sandbox"}
_PROJECT: Final = Path(__file__).resolve().parent.parent
_TIMEOUT_SECONDS: Final = 10.0


class Running:
    """A running sandbox; leaving its `with` block stops it."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url

    @classmethod
    def start(cls, *options: str) -> Self:
        """Starts a sandbox on a free port with those command line options; returns once it listens."""
        path = os.pathsep.join(filter(None, (str(_PROJECT), os.environ.get("PYTHONPATH"))))
        process = subprocess.Popen(
            [sys.executable, "-m", "threelane.sandbox", "--port", "0", *options],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": path},
            text=True,
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"the sandbox did not start: exit code {process.wait()}")
        return cls(process, json.loads(line)["url"])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stops the process with a signal and returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        code = self.process.wait(_TIMEOUT_SECONDS)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code

    def command(self, name: str, /, **parameters: str) -> str:
        """Returns the response of an HTTP API command by POST, with the default credentials."""
        body = urlencode({**_CREDENTIALS, **parameters}).encode("ascii")
        return self.request("POST", f"/http/{name}", body, FORM_TYPE)[1].decode("latin-1")

    def send(self, to: str, text: str = "Hello", **parameters: str) -> str:
        """Returns the response of a send."""
        return self.command("sendmsg", to=to, text=text, **parameters)

    def control(self, method: str, path: str, body: object = None) -> Any:
        """Returns the JSON of a control API resource, errors included."""
        content = b"" if body is None else json.dumps(body).encode("utf-8")
        return json.loads(self.request(method, f"/sandbox/{path}", content, "application/json")[1])

    def reply(self, sender: str, text: str, **fields: object) -> Any:
        """Returns the response to a text that a person sends to 12025550100."""
        return self.control("POST", "replies", {"from": sender, "to": "12025550100", "text": text, **fields})

    def rest(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """Returns the status and the JSON of a REST API request, with the default headers."""
        usual = {"Authorization": "Bearer sandbox", "X-Version": "1"}
        return self._json(method, f"/rest/{path}", body, {**usual, **headers})

    def one(self, method: str, path: str, body: object = None, key: str = "sandbox") -> tuple[int, Any]:
        """Returns the status and the JSON of a One API or Platform REST request."""
        return self._json(method, path, body, {"Authorization": key})

    def xml(self, document: str) -> str:
        """Returns the response of the XML API to a document."""
        body = urlencode({"data": document}).encode("ascii")
        return self.request("POST", "/xml/xml", body, FORM_TYPE)[1].decode("utf-8")

    def _json(self, method: str, path: str, body: object, headers: Mapping[str, str]) -> tuple[int, Any]:
        """Sends bytes and strings unchanged, anything else as JSON."""
        if isinstance(body, str):
            body = body.encode("utf-8")
        content = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode("utf-8")
        status, response = self.request(method, path, content, JSON_TYPE, {"Accept": JSON_TYPE, **headers})
        return status, json.loads(response)

    def request(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        content_type: str = "",
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> tuple[int, bytes]:
        """Returns the status and the body of a request; a cut connection raises."""
        address = urlsplit(self.url)
        connection = HTTPConnection(address.hostname or "", address.port, timeout=_TIMEOUT_SECONDS)
        try:
            typed = {"Content-Type": content_type} if content_type else {}
            connection.request(method, path, body or None, {**typed, **headers})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

"""Describe: the OpenAPI description of values, problems and the fields of a message."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from threelane.contract import fields
from threelane.contract.refusal import Owner
from threelane.interfaces.api.problem import MEDIA_TYPE, stop
from threelane.producer.http import values
from threelane.producer.http.values import Problem

EXAMPLE_ID = "0f3c5b1a9d84f3f8a5b6c7d8e9f00110"

# fmt: off
_OWNER = {"owner": Owner.OPERATOR}
_PROBLEMS: dict[int, tuple[str, str, dict[str, Any]]] = {
    400: ("the body is not JSON",
          "the body is not JSON: Input data was truncated",
          {"code": "101", "field": "body", "remedy": "send JSON, in UTF-8"}),
    401: ("the key is missing, unknown, expired or revoked",
          "the key is missing, unknown, expired or revoked",
          {"field": "Authorization", "remedy": "send Authorization: Bearer <key>", **_OWNER}),
    403: ("the key or its producer lacks a right or a budget",
          "this key may not use lane 1",
          {"code": "101", "field": "lane", "remedy": "use lane 3, or ask an operator for a key that may", **_OWNER}),
    404: ("unknown, or past its retention",
          "this message is unknown, or past its retention",
          {"field": "id", "remedy": "use the id that accept returned", "id": EXAMPLE_ID}),
    408: ("the body did not arrive in time",
          "the body did not arrive in time",
          {"field": "body", "remedy": "send it faster, or send smaller lists"}),
    409: ("the client message id was accepted with other content, or it is too late to cancel",
          "this client message id was accepted with other content",
          {"field": "client_message_id", "remedy": "use a new id for a new message", "id": EXAMPLE_ID}),
    413: ("the body, or the list, is too long, or has too many values",
          "10,001 messages",
          {"field": "messages", "remedy": "send at most 10,000 at a time"}),
    422: ("a field is invalid: which, why, and the remedy",
          "the number starts with 0",
          {"code": "105", "field": "to", "remedy": "write the country code first, as in 27831234567"}),
    429: ("the key's rate is used up, or, with a field, a limit of messages",
          "this key may send 50 messages or other requests a second",
          {"remedy": "wait for the seconds in Retry-After", **_OWNER}),
    502: ("the gateway refused the request, or did not answer: whether a voucher was redeemed is unknown",
          "whether the voucher was redeemed is unknown: lost",
          {"remedy": "check the balance before you try again", "owner": Owner.GATEWAY}),
    503: ("Redis does not answer, or is full; what is `unsure` may have been accepted, or not. Or other requests used "
          "the memory or the places for requests until the deadline: nothing was done",
          "Redis does not answer at THREELANE_REDIS_URL: start it, or correct the address",
          {"remedy": "retry later; with the same client message id nothing is sent twice", **_OWNER}),
}
# fmt: on
_HEADERS = {401: "WWW-Authenticate", 429: "Retry-After", 503: "Retry-After"}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of these problems, and of those that every operation with a key has."""
    return only_problems(*sorted({401, 403, 422, 429, 503, *statuses}))


def only_problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of these problems only, for operations without a key."""
    return {status: _problem(status) for status in statuses}


def answer(
    status: int, kind: type, description: str, example: Any, links: Sequence[str] = ()
) -> dict[int | str, dict[str, Any]]:
    """Return the description of a response; ``links`` are operations that take its id."""
    described = {"description": description, "content": _json(_ref(kind), example)}
    if links:
        parameters = {"message_id": "$response.body#/id"}
        described["links"] = {name: {"operationId": name, "parameters": parameters} for name in links}
    return {status: described}


def answers(status: int, kind: type, description: str, example: Any) -> dict[int | str, dict[str, Any]]:
    """Return the description of a response that is a list."""
    return {status: {"description": description, "content": _json({"type": "array", "items": _ref(kind)}, [example])}}


def csv_file(description: str, example: str) -> dict[int | str, dict[str, Any]]:
    """Return the description of a response that is a CSV file."""
    content = {"text/csv": {"schema": {"type": "string"}, "example": example}}
    return {200: {"description": description, "content": content}}


def body(schema: dict[str, Any], example: Any) -> dict[str, Any]:
    """Return the description of a request body."""
    return {"requestBody": {"required": True, "content": _json(schema, example)}}


def body_of(kind: type, example: Any) -> dict[str, Any]:
    """Return the description of a request body of a type."""
    return body(_ref(kind), example)


def components(more: Sequence[Any] = ()) -> dict[str, Any]:
    """Return the schemas of all values, from their types, and of a message, from the table of fields."""
    _, described = msgspec.json.schema_components([*values.ALL, *more], ref_template="#/components/schemas/{name}")
    return described | {"Message": message()}


def message() -> dict[str, Any]:
    """Return the schema of a message: each field by our name and by the gateway's, which also match in any case."""
    described: dict[str, Any] = {}
    for field in (*fields.FIELDS, *fields.WORDS):
        schema: dict[str, Any] = {
            "description": field.meaning.replace("`", ""),
            "type": [*field.json_types, "null"],
            "examples": [field.example],
        }
        if "array" in field.json_types:
            schema["items"] = {"type": [kind for kind in field.json_types if kind != "array"]}
        described[field.name] = schema
        for spelling in (field.gateway_name, *field.aliases):
            described.setdefault(spelling, {**schema, "description": f"the same as {field.name}"})
        for form in field.forms:
            types = {"type": [*form.json_types, "null"], "examples": [form.example]}
            described[form.name] = {"description": f"{field.name}: {form.meaning}", **types}
    return {"type": "object", "properties": described, "required": ["to"], "additionalProperties": False}


MESSAGE = {"$ref": "#/components/schemas/Message"}
ANY_MESSAGE = {"anyOf": [MESSAGE, {"description": "anything else is refused individually"}]}
MESSAGE_EXAMPLE = {"to": "+27 83 123 4567", "text": "Your code is 4711", "lane": 1, "client_message_id": "login4711"}


def _problem(status: int) -> dict[str, Any]:
    description, detail, more = _PROBLEMS[status]
    example = msgspec.to_builtins(stop(status, detail, **more).problem)
    described: dict[str, Any] = {
        "description": description,
        "content": {MEDIA_TYPE: {"schema": _ref(Problem), "example": example}},
    }
    if status in _HEADERS:
        kind = "integer" if _HEADERS[status] == "Retry-After" else "string"
        described["headers"] = {_HEADERS[status]: {"required": True, "schema": {"type": kind}}}
    return described


def _ref(kind: type) -> dict[str, Any]:
    return {"$ref": f"#/components/schemas/{kind.__name__}"}


def _json(schema: dict[str, Any], example: Any) -> dict[str, Any]:
    return {"application/json": {"schema": schema, "example": msgspec.to_builtins(example)}}

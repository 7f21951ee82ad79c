"""Page: the description of the API for programs, and the same for people, without JavaScript."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response

router = APIRouter(include_in_schema=False)
STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24;background:#fff}
summary{cursor:pointer;padding:.4rem 0}code,pre{font:14px/1.4 ui-monospace,monospace}
pre{background:#f4f5f7;padding:.7rem;overflow:auto;border-radius:4px}b.method{display:inline-block;width:4.5rem}
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.2rem .6rem .2rem 0}
details{border-bottom:1px solid #e3e5e8}h2{margin-top:2rem}
@media(prefers-color-scheme:dark){body{background:#15181c;color:#e6e8eb}pre{background:#22262c}a{color:#8ab4f8}}
"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"


@router.get("/openapi.json")
async def openapi(request: Request) -> Response:
    """Return the description as OpenAPI."""
    state = request.app.state
    if not hasattr(state, "openapi"):  # it never changes, and anybody may request it
        state.openapi = JSONResponse(request.app.openapi()).body
    return Response(state.openapi, media_type="application/json")


@router.get("/docs")
async def docs(request: Request) -> Response:
    """Return the description as a page."""
    state = request.app.state
    if not hasattr(state, "docs"):
        state.docs = "\n".join(_page(request.app.openapi())).encode()
    return HTMLResponse(state.docs, headers={"Content-Security-Policy": POLICY})


def _page(document: dict[str, Any]) -> Iterator[str]:
    yield '<!doctype html><html lang="en"><meta charset="utf-8"><title>Threelane API</title>'
    yield f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{STYLE}</style>'
    yield f"<h1>Threelane API</h1><p>{_prose(document['info']['description'])}</p>"
    yield '<p>For programs: <a href="/openapi.json">openapi.json</a></p>'
    tags: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            (tag,) = operation["tags"]
            tags.setdefault(tag, []).append("\n".join(_operation(path, method, operation)))
    for tag, operations in tags.items():
        yield f"<h2>{escape(tag)}</h2>"
        yield from operations
    yield "<h2>values</h2>"
    for name, schema in document["components"]["schemas"].items():
        yield f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>'
        yield f"<p>{_prose(schema.get('description', ''))}</p>"
        yield from _properties(schema)
        yield "</details>"
    yield "</html>"


def _operation(path: str, method: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f'<details><summary><b class="method">{method.upper()}</b><code>{escape(path)}</code></summary>'
    yield f"<p>{_prose(operation.get('description', ''))}</p>"
    parameters = operation.get("parameters", [])
    if parameters:
        yield "<table><tr><th>parameter<th>in<th>meaning</tr>"
        for one in parameters:
            yield f"<tr><td><code>{escape(one['name'])}</code><td>{escape(one['in'])}<td>"
            yield f"{_prose(one.get('description', ''))}</tr>"
        yield "</table>"
    if "requestBody" in operation:
        yield "<h4>body</h4>"
        yield from _content(operation["requestBody"]["content"])
    for status, answer in sorted(operation["responses"].items()):
        yield f"<h4>{escape(status)}: {_prose(answer['description'])}</h4>"
        if int(status) < 400:
            yield from _content(answer.get("content", {}))
    yield "</details>"


def _content(content: dict[str, Any]) -> Iterator[str]:
    for one in content.values():
        for name in _named(one["schema"]):
            yield f'<p><a href="#{escape(name)}">{escape(name)}</a></p>'
        if "example" in one:
            yield f"<pre>{escape(json.dumps(one['example'], indent=2, ensure_ascii=False))}</pre>"


def _properties(schema: dict[str, Any]) -> Iterator[str]:
    properties = schema.get("properties", {})
    if "enum" in schema:
        yield f"<p>{escape(', '.join(map(str, schema['enum'])))}</p>"
    if properties:
        required = schema.get("required", [])
        yield "<table><tr><th>field<th>type<th>meaning</tr>"
        for name, one in properties.items():
            must = " (needed)" if name in required else ""
            named = " ".join(f'<a href="#{escape(other)}">{escape(other)}</a>' for other in _named(one))
            kind = named or escape(
                " or ".join(one["type"]) if isinstance(one.get("type"), list) else one.get("type", "")
            )
            yield f"<tr><td><code>{escape(name)}</code>{must}<td>{kind}<td>{_prose(one.get('description', ''))}</tr>"
        yield "</table>"


def _named(schema: Any) -> Iterator[str]:
    """Return the names of the values that a schema refers to."""
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].rpartition("/")[2]
        for inner in schema.values():
            yield from _named(inner)
    elif isinstance(schema, list):
        for inner in schema:
            yield from _named(inner)


def _prose(text: str) -> str:
    return escape(text.replace("``", "").replace("`", ""))

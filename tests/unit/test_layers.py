"""Imports run one way: a layer imports only itself and the layers below it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.layout import FOLDERS, LAYERS, ROOT

PACKAGE = "threelane"
FORMER = {"producer", "worker", "sandbox"}


def layer_of(module: str) -> str:
    """Return the layer that a module belongs to; '' for a package that only holds layers."""
    return max((one for one in LAYERS if module == one or module.startswith(f"{one}.")), key=len, default="")


@cache
def imports_of(source: str) -> list[str]:
    """Return the modules that a file imports, anywhere in it, by their absolute names."""
    return list(_imports_of(source))


def _imports_of(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def upward(module: str, source: str) -> list[str]:
    """Return what a module imports from layers above its own."""
    own = layer_of(module)
    ours = (name.removeprefix(f"{PACKAGE}.") for name in imports_of(source) if name.startswith(f"{PACKAGE}."))
    return [name for name in ours if (layer := layer_of(name)) and LAYERS.index(layer) > LAYERS.index(own)]


def modules() -> Iterator[tuple[str, Path]]:
    """Yield every module of the product with its file."""
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def test_every_module_belongs_to_a_layer() -> None:
    """A module outside the list could import anything."""
    assert {"worker", "interfaces"} == {name for name, _ in modules() if not layer_of(name)}


def test_each_layer_imports_only_layers_below_it() -> None:
    """A caller never drags a worker in, and no two folders need each other."""
    assert {} == {
        name: found
        for name, path in modules()
        if layer_of(name) and (found := upward(name, path.read_text(encoding="utf-8")))
    }


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("contract.fields", "from threelane.store import keys"),
        ("producer.client", "def late():\n    from threelane.worker.process.settings import WorkerSettings"),
        ("worker.gateway.api", "import threelane.gateways.http.gateway"),
        ("worker.policy.rule", "from threelane.worker.send.claim import claim"),
    ],
)
def test_an_import_that_is_reversed_is_found(module: str, source: str) -> None:
    """The check that holds the layers must itself be able to fail."""
    assert [] != upward(module, source)


def test_the_sandbox_imports_nothing_of_ours() -> None:
    """It stays an independent witness."""
    found = {
        name: [one for one in imports_of(path.read_text(encoding="utf-8")) if one.startswith(f"{PACKAGE}.")]
        for name, path in modules()
        if layer_of(name) == "sandbox"
    }
    assert set() == {one for names in found.values() for one in names if not one.startswith(f"{PACKAGE}.sandbox")}


def test_the_product_has_one_import_name() -> None:
    """``producer`` and ``worker`` at top level are a team's own modules, never ours."""
    files = [
        path for folder in (*FOLDERS, PACKAGE, "tests", "bench", "deploy") for path in (ROOT / folder).rglob("*.py")
    ]
    offenders = {
        path.relative_to(ROOT).as_posix()
        for path in files
        if {name.partition(".")[0] for name in imports_of(path.read_text(encoding="utf-8"))} & FORMER
    }
    assert set() == offenders

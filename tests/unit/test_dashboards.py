"""The dashboards are as the generator writes them, and query only metrics that exist."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from deploy.grafana.dashboards import BOARDS, FOLDER, MONEY, SOURCE, Board, file_of, written
from threelane.operations.catalogue import LABELS, of_series

NAMED = re.compile(r"\b(?:threelane|process|python)_[a-z0-9_]+")
SELECTED = re.compile(r"\b(threelane_[a-z0-9_]+)(\{[^}]*\})?")
BY = re.compile(r"\bby \(([^)]*)\)")
each_board = pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)


def _panels(board: Board) -> list[dict[str, Any]]:
    return [panel for panel in json.loads(file_of(board).read_text())["panels"] if panel["type"] != "row"]


@each_board
def test_the_file_matches_the_generator(board: Board) -> None:
    """python -m deploy.grafana.dashboards regenerates it."""
    assert file_of(board).read_text(encoding="utf-8") == written(board)


def test_there_is_no_other_file() -> None:
    """A dashboard that was renamed leaves none behind."""
    assert sorted(FOLDER.iterdir()) == sorted(map(file_of, BOARDS))


@each_board
def test_its_queries_name_only_metrics_and_labels_of_the_catalogue(board: Board) -> None:
    """A metric that was renamed leaves an empty panel."""
    for panel in _panels(board):
        for target in panel["targets"]:
            for name in NAMED.findall(target["expr"]):
                assert of_series(name) or name.startswith(("process_", "python_")), panel["title"]
            for labels in BY.findall(target["expr"]):
                assert set(labels.split(", ")) <= {*LABELS, "le", "instance", "job"}, panel["title"]


@each_board
def test_the_variable_account_selects_what_every_panel_shows(board: Board) -> None:
    """All accounts include series without the label, as an exporter of the version before has them."""
    (variable,) = (one for one in json.loads(written(board))["templating"]["list"] if one["name"] == "account")
    assert (".*", True) == (variable["allValue"], variable["includeAll"])
    for panel in _panels(board):
        for target in panel["targets"]:
            for name, labels in SELECTED.findall(target["expr"]):
                metric = of_series(name)
                assert metric
                is_of_account = any("account" in metric.labels_of(where) for where in metric.where)
                assert is_of_account == ("$account" in labels), panel["title"]


def test_credits_of_accounts_are_never_added_up() -> None:
    """Each account may have its own currency."""
    added = re.compile(r"sum(?: by \(([^)]*)\))? \(?[^)]*credits")
    for panel in _panels(MONEY):
        for target in panel["targets"]:
            for by in added.findall(target["expr"]):
                assert "account" in by.split(", "), panel["title"]


@each_board
def test_no_panel_lies_over_another(board: Board) -> None:
    """A row is 24 columns wide."""
    places = [one["gridPos"] for one in _panels(board)]
    cells = [
        (x, y)
        for one in places
        for x in range(one["x"], one["x"] + one["w"])
        for y in range(one["y"], one["y"] + one["h"])
    ]
    assert len(cells) == len(set(cells))
    assert all(x < 24 for x, _ in cells)


def test_the_provisioned_source_is_the_one_that_panels_query() -> None:
    """Otherwise all panels are empty."""
    folder = FOLDER.parent / "provisioning"
    (source,) = yaml.safe_load((folder / "datasources" / "threelane.yaml").read_text())["datasources"]
    assert (SOURCE.uid, SOURCE.type_val) == (source["uid"], source["type"])
    assert yaml.safe_load((folder / "dashboards" / "threelane.yaml").read_text())["providers"]

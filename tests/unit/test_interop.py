"""The run against published clients: what it accepts, and the page that it writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop import page
from tests.interop.__main__ import Tried
from tests.interop.clients import CLIENTS, STEPS, Difference, Patch
from tests.interop.environments import DRIVERS, NotAvailable, apply

CLIENT = next(one for one in CLIENTS if one.differs)
KNOWN = next(iter(CLIENT.differs))


def test_the_page_is_that_of_the_list() -> None:
    """A client that was added or changed is in the page only after a run: make interop ARGS="--write"."""
    assert page.render() == page.FILE.read_text("utf-8")


def test_every_client_has_a_driver_and_every_difference_a_step_that_is_tried() -> None:
    """Else a row of the page rests on nothing."""
    for client in CLIENTS:
        assert (DRIVERS / client.driver).is_file()
        assert set(client.differs) <= set(client.steps) <= set(STEPS)
    assert len(CLIENTS) == len({client.title for client in CLIENTS})


@pytest.mark.parametrize(
    ("step", "differs", "surprises"),
    [
        (KNOWN, CLIENT.differs[KNOWN].seen, []),
        (KNOWN, None, [KNOWN]),
        (KNOWN, "the client fails: something else", [KNOWN]),
        ("one", None, []),
        ("one", "the gateway accepted []", ["one"]),
    ],
)
def test_a_difference_passes_only_if_it_is_the_one_that_is_listed(
    step: str, differs: str | None, surprises: list[str]
) -> None:
    """A client that fails in another way, or no longer fails, changes the page."""
    assert surprises == Tried(CLIENT, {step: differs}).surprises


@pytest.mark.parametrize("text", ["port: 81,", "port: 80, port: 80,"])
def test_a_patch_that_does_not_fit_is_not_applied(tmp_path: Path, text: str) -> None:
    """Another version of the client: its result would be of something else than the page says."""
    (tmp_path / "client.js").write_text(text)
    with pytest.raises(NotAvailable, match="has 'port: 80,'"):
        apply(tmp_path, Patch("client.js", "port: 80,", "port: 8077,"))
    assert text == (tmp_path / "client.js").read_text()


def test_a_difference_names_what_is_seen() -> None:
    """An empty fragment would accept every failure."""
    differences: list[Difference] = [each for client in CLIENTS for each in client.differs.values()]
    assert all(each.seen and each.reason for each in differences)

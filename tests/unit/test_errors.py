"""An exception that callers catch can be handed to another process and keeps its content."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator

import msgspec
import pytest

import threelane
from threelane import Accepted, InvalidSettings, Owner, ProducerClosed, Refused, Status, ThreelaneError, Unavailable
from threelane.contract.refusal import Code, Refusal

REFUSED = Refused(Code.CONFLICT, "client_message_id", "known", "use a new id", Owner.OPERATOR, "a" * 32)
ACCEPTED = Accepted(id="b" * 32, lane=1, parts=1, encoding="gsm7", units=5, status=Status.QUEUED)
ERRORS: list[ThreelaneError] = [
    REFUSED,
    Refused(code="105", field="to", problem="the number starts with 0", remedy="write the country code first"),
    Unavailable("Redis does not answer", [ACCEPTED, REFUSED], ["c" * 32], 2.5),
    Unavailable("Redis does not answer"),
    ProducerClosed(),
    InvalidSettings("THREELANE_REDIS_URL: not an address of Redis"),
]


def kinds(kind: type[ThreelaneError] = ThreelaneError) -> Iterator[type[ThreelaneError]]:
    """Yield all errors below one."""
    for one in kind.__subclasses__():
        yield one
        yield from kinds(one)


def shown(error: ThreelaneError) -> tuple[object, ...]:
    """Return all that a caller can read of an error."""
    return type(error), str(error), error.args, vars(error)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_survives_pickle(error: ThreelaneError, protocol: int) -> None:
    """A task queue or a process pool hands it to the caller that waits for the result."""
    assert shown(error) == shown(pickle.loads(pickle.dumps(error, protocol)))


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_an_error_can_be_copied(error: ThreelaneError) -> None:
    """``concurrent.futures`` and test tools do so."""
    assert shown(error) == shown(copy.copy(error)) == shown(copy.deepcopy(error))


def test_the_examples_are_all_the_errors_there_are() -> None:
    """A new one has to be tried here, exported, and drawn in the tree of the module."""
    ours = {kind for kind in kinds() if kind.__module__.startswith("threelane.")}
    tree = threelane.contract.errors.__doc__ or ""

    assert ours == {type(error) for error in ERRORS}
    assert set() == {kind.__name__ for kind in ours} - set(threelane.__all__)
    assert set() == {kind.__name__ for kind in ours if f"── {kind.__name__} " not in tree}


def test_a_refusal_is_one_line_with_its_remedy() -> None:
    """Whatever the caller put into the field."""
    refused = Refused("101", "two\nlines", "unknown field", "docs/fields.md lists the fields")

    assert "101 two lines: unknown field; docs/fields.md lists the fields" == str(refused)


def test_a_parser_s_refusal_and_the_error_have_the_same_fields() -> None:
    """One is made from the other by position."""
    refusal = Refusal("409", "client_message_id", "known", "use a new id", Owner.OPERATOR, "a" * 32)

    assert list(vars(REFUSED)) == list(msgspec.structs.asdict(refusal))
    assert refusal == Refused.from_refusal(refusal).refusal == REFUSED.refusal
    assert not hasattr(REFUSED, "id")


def test_answers_are_compared_by_value() -> None:
    """They are values of a list as well as errors."""
    same = Refused("409", "client_message_id", "known", "use a new id", Owner.OPERATOR, "a" * 32)

    assert same == REFUSED
    assert {same} == {REFUSED}
    assert Refused("105", "to", "known", "use a new id") != REFUSED
    assert REFUSED != "409"

"""Every key has one name, made in one place, and a row in the table of keys."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from deploy.redis_users import scripts_by_path
from tests.layout import ROOT
from threelane.contract import fields
from threelane.store import keys
from threelane.store.keys import KINDS, Key, Space
from threelane.store.scripts import Script

AS_EVER = {
    "tl:due:1", "tl:due:2", "tl:due:3", "tl:queued:1", "tl:queued:2", "tl:queued:3", "tl:leases:1", "tl:leases:2",
    "tl:leases:3", "tl:doubt:1", "tl:doubt:2", "tl:doubt:3", "tl:awaiting:1", "tl:awaiting:2", "tl:awaiting:3",
    "tl:paused", "tl:paused-order", "tl:pauses",
    "tl:dead", "tl:damaged", "tl:due", "tl:leases", "tl:doubt", "tl:awaiting",
    "tl:tally", "tl:holds", "tl:rate", "tl:claimed", "tl:sweep", "tl:sweeping", "tl:erasing", "tl:suppressed",
    "tl:events", "tl:late", "tl:expected",
    "tl:waiting", "tl:heard", "tl:stopping", "tl:producers", "tl:rights", "tl:api-keys", "tl:api-used", "tl:windows",
    "tl:holidays",
    "tl:workers",
    "tl:countries", "tl:templates", "tl:opt-out-lines",
    "tl:reply-halves", "tl:lane-1-worker", "tl:prices", "tl:balance", "tl:balance:turn", "tl:balance:probe",
    "tl:account-requests", "tl:account-answer:x",
    "tl:burn", "tl:budgets", "tl:suspects", "tl:nudges", "tl:visibility", "tl:owners",
    "tl:reach", "tl:audit", "tl:accounts", "tl:confirmations", "tl:confirmed:x",
    "tl:ceiling", "tl:probe", "tl:centres", "tl:stored",
    "tl:m:x", "tl:breaker:x", "tl:session:x", "tl:login:x", "tl:worker:x", "tl:api-rate:x",
    "tl:console:x",
    "tl:console-tries:x", "tl:reply:x",
    "tl:reply-owners", "tl:inbox", "tl:texted:x",
    "tl:reply-parts:x", "tl:deliveries:x", "tl:delivery:x", "tl:undelivered:x", "tl:spent:x", "tl:write-check",
    "tl:copying", "tl:batches", "tl:batch:x", "tl:batch-rows:x", "tl:absent",
    "tl:stand-by-turn:1", "tl:stand-by-turn:2", "tl:stand-by-turn:3",
    "tl:limits", "tl:limit-counts", "tl:runs", "tl:blocks-to-hold", "tl:same-text-a", "tl:same-text-b",
    "tl:recipients-a", "tl:recipients-b", "tl:neighbours-a", "tl:neighbours-b",
}  # fmt: skip


def test_every_key_is_in_the_table() -> None:
    """An operator who looks at Redis finds there what each key holds."""
    assert set(Key) == KINDS.keys()


def test_keys_keep_their_names() -> None:
    """Workers of an earlier version run beside these while a fleet is upgraded."""
    made = {keys.key(name, "x") for name in Key if KINDS[name].suffix not in ("", "lane")}
    made |= {keys.key(name) for name in Key if not KINDS[name].suffix}
    made |= {index for name in Key if KINDS[name].suffix == "lane" for index in keys.by_lane(name).values()}
    made |= set(keys.FORMER.values())

    assert made == AS_EVER


def test_the_functions_and_the_constants_are_made_by_the_builder() -> None:
    """A tag for a cell, or a name for an account, is added in one place."""
    assert keys.key(Key.RECORD, "0f3c") == keys.record("0f3c") == keys.records(["0f3c"])[0] == "tl:m:0f3c"
    assert keys.key(Key.DELIVERIES, "shop") == keys.deliveries("shop")
    assert keys.key(Key.QUEUED, "2") == keys.QUEUED[2]


def test_a_cell_tags_every_key_and_an_account_those_that_are_its_own() -> None:
    """The keys of one script are in one slot of a cluster; two accounts share no rate."""
    there = Space(cell="c7", account="acme")

    assert "tl:{c7}:due:2@acme" == keys.key(Key.DUE, "2", space=there)
    assert "tl:{c7}:m:0f3c" == keys.key(Key.RECORD, "0f3c", there)
    assert "tl:{c7}:rate@acme" == keys.key(Key.RATE, space=there)


@pytest.mark.parametrize("name", sorted(AS_EVER | {"tl:session:rest:0f3c:pinged", "tl:reply-parts:a:b:1:2"}))
def test_the_row_of_a_key_is_found_by_its_name(name: str) -> None:
    """Tests that look at all of Redis hold it against the table."""
    assert keys.kind(name) in KINDS.values()


@pytest.mark.parametrize("name", ["tl:nothing", "tl:dead:1", "tl:", "sms.1"])
def test_what_is_in_no_row_is_found_too(name: str) -> None:
    """Otherwise the test above, and those that use it, would show nothing."""
    with pytest.raises(KeyError):
        keys.kind(name)


def test_no_two_indexes_share_a_key() -> None:
    """A set that served two purposes would lose messages."""
    indexes = [index for status in keys.INDEXES for index in keys.indexes_of(status)]
    assert len(indexes) == len(set(indexes))


def test_each_lane_has_its_set_and_its_queue() -> None:
    """Three lanes, everywhere the same three."""
    assert keys.LANES == fields.LANES
    assert ["tl:queued:1", "tl:queued:2", "tl:queued:3"] == list(keys.QUEUED.values())
    assert ["sms.1", "sms.2", "sms.3"] == [keys.queue(lane) for lane in keys.LANES]


def test_each_account_has_its_queues() -> None:
    """The lane of a nudge is read from the name of its queue, whichever account's."""
    names = [keys.queue(lane, account) for account in ("", "acme") for lane in keys.LANES]

    assert ["sms.1", "sms.2", "sms.3", "sms.1@acme", "sms.2@acme", "sms.3@acme"] == names
    assert [1, 2, 3, 1, 2, 3] == [keys.lane_of(name) for name in names]
    assert [None] * 5 == [keys.lane_of(name) for name in ("sms.0", "sms.4", "sms.10", "sms.1@", "celery@host")]


def test_two_accounts_share_no_name_of_their_own() -> None:
    """One shared index would mix their messages."""
    own, others = (_values(keys.names(keys.space_of(name))) for name in ("acme", "bank"))

    assert len(own) == len(set(own)) == len(others)
    assert set() == {*own} & {*others}
    assert {*own} & AS_EVER == {*others} & AS_EVER == set()
    assert all(name.endswith("@acme") and keys.kind(name).by_account for name in own)
    assert {*_values(keys.names())} < AS_EVER


def test_the_names_of_an_account_are_all_of_the_table() -> None:
    """A key that an account has its own of, and that is not among its names, would be built by hand."""
    named = {keys.kind(name) for name in _values(keys.names())}

    assert named == {kind for kind in KINDS.values() if kind.by_account and kind.suffix in ("", "lane")}


def test_the_names_of_the_default_account_are_the_constants() -> None:
    """There is one object for both."""
    of_default = vars(keys.names(keys.HERE))

    assert of_default.items() <= vars(keys).items()


def test_no_worker_uses_a_key_of_the_default_account() -> None:
    """A worker serves one account: what it reads and writes is in the space of its settings."""
    constant = re.compile(rf"\bkeys\.({'|'.join(vars(keys.names()))})\b|\bOF_DEFAULT\b")
    files = sorted((ROOT / "worker").rglob("*.py"))

    assert [] == [f"{file.name}: {found[0]}" for file in files for found in constant.finditer(file.read_text())]


def test_every_script_with_keys_of_an_account_is_called_within_a_space() -> None:
    """Except that of erasures, which covers the records of all accounts."""
    of_account = [name for name, one in scripts_by_path().items() if _has_keys_of_account(one)]
    without = []
    for path in (one for one in of_account if one.startswith("worker/")):
        source = (ROOT / path).with_suffix(".py") if (ROOT / path).with_suffix(".py").exists() else None
        for file in [source] if source else (ROOT / path).parent.glob("*.py"):
            name = Path(path).name
            without += [path] * len(re.findall(rf"(?<!def )\b_?{name}(?:\.run)?\(\s*client,\s*\w+=", file.read_text()))

    assert ["worker/upkeep/erase"] * 2 == without


def _values(names: keys.Names) -> list[str]:
    found: list[str] = []
    for value in vars(names).values():
        found += [value] if isinstance(value, str) else value.values()
    return found


def _has_keys_of_account(one: Script[..., object]) -> bool:
    return any(KINDS[name].by_account for name, _ in one.fixed_keys)

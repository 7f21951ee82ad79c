"""The users of Redis: the file in deploy/ is the table's, and the table is narrow where it promises to be."""

from __future__ import annotations

import re

import pytest

from deploy.redis_users import COUNTED_BY_NUMBER, FILE, INDEXED, USERS, RedisUser, acl_file, scripts_by_path
from threelane.store.keys import HERE, KINDS, Key, key, space_of

OF_ONE_TYPE = re.compile(r"\+(h(?!ello)|z|x|[lrb]+(push|pop|len)|set$|get$|incr)")
KINDS_BY_WRITE = {"+hset": "hash", "+zadd": "zset", "+xadd": "stream", "+lpush": "list", "+sadd": "set"}
BY_NAME = {one.name: one for one in USERS}
SECRETS = {Key.API_KEYS, Key.PRODUCERS, Key.CONSOLE, Key.SESSION}
"""Keys whose content lets somebody in, or sign for somebody."""
OF_OPERATORS = SECRETS | {
    Key.HOLDS, Key.RATE, Key.WINDOWS, Key.HOLIDAYS, Key.WORKER, Key.WORKERS, Key.SUSPECTS, Key.BREAKER,
}  # fmt: skip
NEVER = ("+@", "+keys", "+flush", "+debug", "+config|set", "+acl|setuser", "+replicaof", "+module", "+eval ")


def _on_all_its_keys(user: RedisUser) -> set[str]:
    """Return the commands that a user may run on all its keys, or on all of one type."""
    broad = [user.rule().partition(" (")[0], *user.by_type()]
    return {word.rstrip(")") for one in broad for word in one.split()}


def test_the_file_is_that_of_the_table() -> None:
    """Otherwise: python -m deploy.redis_users > deploy/redis-users.acl."""
    assert acl_file() == FILE.read_text(encoding="ascii")


def test_every_script_has_a_user() -> None:
    """A script that nobody may run is dead, or a user is missing; the operator may run each."""
    run = {path for user in USERS for path in user.scripts} | {"store/respell"}
    assert set(scripts_by_path()) == run


@pytest.mark.parametrize("user", [one for one in USERS if one.scripts and not one.every_key], ids=lambda one: one.name)
def test_a_user_may_declare_the_keys_of_its_scripts(user: RedisUser) -> None:
    """Redis checks every key of EVALSHA, also those that the script touches under rare conditions only."""
    declared = {name for path in user.scripts for name, _ in scripts_by_path()[path].fixed_keys}
    assert set() == declared - set(user.keys)


def test_a_producer_touches_nothing_of_operators() -> None:
    """No API key, webhook secret, hold, rate or report of a worker; suppression and limits are only read."""
    producer = BY_NAME["producer"]
    assert set() == OF_OPERATORS & {*producer.both, *producer.writes, *producer.reads}
    assert set() == {Key.SUPPRESSED, Key.BUDGETS, Key.RIGHTS, Key.PRICES} & {*producer.both, *producer.writes}


def test_a_producer_lists_no_ids() -> None:
    """Without the id of a message nobody finds its record: no scan, no index, no event is readable."""
    producer = BY_NAME["producer"]
    listing = {Key.QUEUED, Key.DUE, Key.DOUBT, Key.DEAD, Key.AWAITING, Key.EXPECTED, Key.WAITING, Key.EVENTS}
    assert listing <= set(producer.writes)
    listers = {"+scan", "+zrange", "+zscan", "+lrange", "+brpop", "+rpop", "+xread", "+xreadgroup", "+xrange"}
    assert set() == listers & _on_all_its_keys(producer)
    assert set() == (listing | {Key.LEASES}) & set(producer.lists_ids)


# with fewer keys, in selectors
WHOLE = {"+del", "+expire", "+pexpire", "+set", "+incr", "+incrby", "+zremrangebyscore"}
SNAPSHOTS = {"+rename", "+renamenx", "+copy", "+dump", "+restore", "+getdel", "+getset", "+getex", "+spop", "+ltrim"}


@pytest.mark.parametrize("user", [one for one in USERS if one.scripts and not one.every_key], ids=lambda one: one.name)
def test_whole_keys_are_deleted_and_replaced_only_where_that_is_needed(user: RedisUser) -> None:
    """One DEL, PEXPIRE, SET or ZREMRANGEBYSCORE would be enough for the suppression list or an index."""
    assert set() == WHOLE & _on_all_its_keys(user)
    assert set() == {*SNAPSHOTS, "+sort"} & set(user.rule().split())
    discarded = re.findall(r"\(([^()]*) -@all \+unlink\)", user.rule())
    counts = " ".join(f"~{key(one)}" for one in COUNTED_BY_NUMBER)
    assert len(discarded) == user.rule().count("+unlink")
    assert {counts} >= set(discarded)
    assert set() == set(user.ends) & {Key.SUPPRESSED, Key.EVENTS, Key.HOLDS, Key.TALLY, *INDEXED}


@pytest.mark.parametrize("name", ["worker", "callbacks", "webhooks", "exporter", "producer", "reader"])
def test_only_the_api_and_operators_reach_api_keys(name: str) -> None:
    """And only an operator writes them."""
    user = BY_NAME[name]
    assert set() == {Key.API_KEYS, Key.CONSOLE} & set(user.keys)
    assert Key.API_KEYS in BY_NAME["api"].reads
    assert Key.API_USED in BY_NAME["api"].writes  # else the list shows every key as never used


@pytest.mark.parametrize("user", USERS, ids=lambda one: one.name)
def test_no_user_has_commands_beyond_its_keys(user: RedisUser) -> None:
    """EVAL stands in the selector alone; the admin has no key."""
    outside = user.rule().partition(" (")[0] + " "
    assert [] == [one for one in NEVER if one in outside]
    assert user.name != "admin" or "~" not in outside


@pytest.mark.parametrize("user", USERS, ids=lambda one: one.name)
def test_subcommands_are_allowed_one_by_one(user: RedisUser) -> None:
    """What a later Redis adds is refused; CLIENT TRACKING reports the name of every key to everybody."""
    words = set(user.rule().split())
    parents = {"+client", "+config", "+acl", "+memory", "+script", "+function", "+object", "+xinfo", "+xgroup"}
    assert set() == (parents | {"+slowlog", "+pubsub", "+client|tracking", "+slowlog|get"}) & words
    assert [] == [one for one in words if one.startswith("-") and one != "-@all"]


def test_only_the_key_of_a_string_can_be_set() -> None:
    """SET replaces a key of any type."""
    allowed = re.findall(r"\(([^()]*) -@all [^()]*\+set\b[^()]*\)", acl_file())
    assert allowed
    spaces = (HERE, space_of("*"))
    of_strings = [name for name in Key if KINDS[name].type == "string"]
    strings = {key(name, "*" if KINDS[name].suffix else "", space) for name in of_strings for space in spaces}
    named = {one.partition("~")[2] for found in allowed for one in found.split()}
    assert set() == named - strings


@pytest.mark.parametrize("user", [one for one in USERS if not one.every_key], ids=lambda one: one.name)
def test_the_commands_of_a_type_are_allowed_on_keys_of_that_type_alone(user: RedisUser) -> None:
    """Written as another type, an empty index stops its lane."""
    assert set() == {one for one in user.rule().partition(" (")[0].split() if OF_ONE_TYPE.match(one)}
    for selector, kind in ((one, kind) for one in user.by_type() for kind in KINDS_BY_WRITE if kind in one):
        named = {word.lstrip("(").partition("~")[2] for word in selector.split() if "~" in word}
        types = {KINDS[name].type for name in Key if key(name, "*" if KINDS[name].suffix else "") in named}
        assert {KINDS_BY_WRITE[kind]} >= types

"""The reach of a STOP: all messages, unless an operator narrowed it, with an audit entry."""

from __future__ import annotations

import json

import pytest
import redis
from click.testing import Result
from typer.testing import CliRunner

from tests.integration.test_replies import OURS, arrives
from tests.properties.system import System
from tests.servers import RedisServer
from threelane import Producer, Refused
from threelane.interfaces.command.line import app
from threelane.producer.accept import Accepted
from threelane.sandbox.running import Running
from threelane.store import audit, keys, reach, suppression
from threelane.worker.inbound.report import InboundReply
from threelane.worker.reply.reply import take
from threelane.worker.reply.words import build

PERSON = "27831234567"
MESSAGES = (
    {},
    {"lane": 1},
    {"sender": OURS},
    {"sender": "Bank", "lane": 1},
    {"tags": ["news"], "sender": "Bank"},
)


def types(server: RedisServer, *words: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(app, list(words), env={"THREELANE_REDIS_URL": server.url})


def refused(producer: Producer) -> list[bool]:
    """Return which of the messages are refused."""
    return [isinstance(producer.try_send(PERSON, "Hello", **one), Refused) for one in MESSAGES]  # type: ignore[arg-type]


# fmt: off
REACHES = {
    "default":          ([],                                     "all",            [True, True, True, True, True]),
    "not lane 1":       ([("lanes:2,3", "*")],                   "lanes:2,3",      [True, False, True, False, True]),
    "this number":      ([("sender", OURS)],                     f"number:{OURS}", [True, True, True, False, False]),
    "a tag":            ([("tag: News", f"+{OURS}")],            "tag:News",       [False, False, False, False, True]),
    "another number":   ([("lanes:3", "27999")],                 "all",            [True, True, True, True, True]),
    "its own before *": ([("lanes:3", "*"), ("all", OURS)],      "all",            [True, True, True, True, True]),
}
# fmt: on


@pytest.mark.parametrize(("chosen", "scope", "stopped"), REACHES.values(), ids=REACHES)
def test_a_stop_reaches_all_messages_unless_an_operator_narrowed_it(
    reporting: Running,
    redis_server: RedisServer,
    producer: Producer,
    client: redis.Redis,
    chosen: list[tuple[str, str]],
    scope: str,
    stopped: list[bool],
) -> None:
    """A newsletter's STOP need not bar the bank's login code; START lifts it, whatever its scope."""
    for one, number in chosen:
        assert 0 == types(redis_server, "suppress", "reach", "set", one, "--number", number).exit_code
    arrives(reporting, PERSON, "STOP", to=OURS, api="platform")
    assert [scope] == [one.scope for one in suppression.why(client, PERSON)]
    assert stopped == refused(producer)
    arrives(reporting, PERSON, "START", to=OURS, api="platform")
    assert [False] * len(MESSAGES) == refused(producer)


def test_each_change_of_the_reach_has_an_audit_entry(redis_server: RedisServer, client: redis.Redis) -> None:
    """Who, when, what, and what was before."""
    assert "no change is recorded" in types(redis_server, "audit", "list").stdout
    assert 0 == types(redis_server, "suppress", "reach", "set", "sender").exit_code
    assert 0 == types(redis_server, "suppress", "reach", "set", "Lanes: 3,2").exit_code
    assert {"*": "lanes:2,3"} == json.loads(types(redis_server, "suppress", "reach", "list", "--json").stdout)
    assert 0 == types(redis_server, "suppress", "reach", "remove").exit_code
    assert 1 == types(redis_server, "suppress", "reach", "remove").exit_code
    assert {"*": "all"} == json.loads(types(redis_server, "suppress", "reach", "list", "--json").stdout)

    found = json.loads(types(redis_server, "audit", "list", "--json").stdout)
    assert [
        ("reach", "of a STOP to every other number: not set (before: lanes:2,3)"),
        ("reach", "of a STOP to every other number: lanes:2,3 (before: sender)"),
        ("reach", "of a STOP to every other number: sender (before: not set)"),
    ] == [(one["what"], one["detail"]) for one in found]
    assert {audit.user()} == {one["who"] for one in found}
    assert [True] * 3 == [abs(one["at"] - int(client.time()[0]) * 1000) < 600_000 for one in found]
    assert "lanes:2,3" in types(redis_server, "audit", "list", "--most", "2").stdout


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["set", "nobody"], "is not a reach; write all, sender"),
        (["set", "sender:ACME"], "is not a reach"),
        (["set", "lanes:4"], "another lane"),
        (["set", "tag:"], "is not a scope"),
        (["set", "all", "--number", "a,b"], "write the number that receives the replies"),
        (["remove", "--number", ""], "write the number that receives the replies"),
    ],
)
def test_an_invalid_reach_is_refused_with_the_right_form(
    redis_server: RedisServer, client: redis.Redis, words: list[str], problem: str
) -> None:
    """And nothing changes."""
    result = types(redis_server, "suppress", "reach", *words)
    assert (2, True) == (result.exit_code, problem in " ".join(result.stderr.split()))
    assert 0 == client.exists(keys.REACH, keys.AUDIT)


@pytest.mark.parametrize("row", ["", "nobody", "lanes:9", "lanes:", "tag:", "sender:x", "\udcff"])
def test_a_damaged_reach_lets_a_stop_reach_all_messages(
    reporting: Running, producer: Producer, client: redis.Redis, row: str
) -> None:
    """The safe direction; the doctor reports the row."""
    client.hset(keys.REACH, "*", row.encode(errors="surrogateescape"))
    arrives(reporting, PERSON, "STOP")
    assert ["all"] == [one.scope for one in suppression.why(client, PERSON)]
    with pytest.raises(ValueError, match=r"."):
        reach.check_row(b"*", row.encode(errors="surrogateescape"))


def test_a_reach_of_another_type_lets_a_stop_reach_all_messages(
    reporting: Running, producer: Producer, client: redis.Redis
) -> None:
    """Somebody else's key at that name."""
    client.set(keys.REACH, "x")
    arrives(reporting, PERSON, "STOP")
    assert [True] * len(MESSAGES) == refused(producer)


# fmt: off
WRITTEN = {
    "12025550100":       ("12025550100",  ["12025550100", "+1 202 555 0100"]),
    "+12025550100":      ("12025550100",  ["12025550100"]),
    "0012025550100":     ("12025550100",  ["12025550100"]),
    "(+1) 202-555-0100": ("12025550100",  ["12025550100"]),
    "5215511112222":     ("525511112222", ["5215511112222", "525511112222"]),
    "+525511112222":     ("525511112222", ["5215511112222", "525511112222"]),
    "72975":             ("72975",        ["72975"]),
    "My Bank UK":        ("My Bank UK",   ["my bank uk"]),
}
# fmt: on


@pytest.mark.parametrize(("to", "scope", "senders"), [(to, *one) for to, one in WRITTEN.items()], ids=WRITTEN)
def test_a_stop_reaches_its_number_however_the_gateway_and_the_message_write_it(
    system: System, to: str, scope: str, senders: list[str]
) -> None:
    """One number of ours has several spellings; a waiting message is not sent either."""
    waiting = [system.draft(to=PERSON, sender=one) for one in senders]
    system.accept(waiting)
    reach.put(system.sync, "*", "sender")
    stops(system, to)

    assert [f"number:{scope}"] == [one.scope for one in suppression.why(system.sync, PERSON)]
    answers = system.accept([system.draft(to=PERSON, sender=one) for one in (*senders, "27820000000")])
    assert [False] * len(senders) + [True] == [isinstance(one, Accepted) for one in answers]
    assert [] == [one.id for one in system.claim(3, [one.message.id for one in waiting], "token").claimed]
    assert f"number:{scope}" == suppression.parse_scope(f"number:{scope}")


@pytest.mark.parametrize("to", ["", "A name that no message can have", "0123", "x" * 64])
def test_a_stop_to_what_cannot_send_reaches_all_messages(system: System, to: str) -> None:
    """Such a scope would match none."""
    reach.put(system.sync, "*", "sender")
    stops(system, to)
    assert ["all"] == [one.scope for one in suppression.why(system.sync, PERSON)]


@pytest.mark.parametrize("row", ["5215511112222", "525511112222"])
@pytest.mark.parametrize("to", ["+5215511112222", "525511112222"])
def test_the_reach_of_a_number_holds_for_each_of_its_spellings(system: System, row: str, to: str) -> None:
    """Also one that was stored under a former spelling; it is replaced and removed under any."""
    system.sync.hset(keys.REACH, mapping={row: "all", "*": "lanes:2,3"})
    stops(system, to)
    assert ["all"] == [one.scope for one in suppression.why(system.sync, PERSON)]
    reach.put(system.sync, reach.parse_number(to), "sender")
    assert {"*": "lanes:2,3", "525511112222": "sender"} == reach.read(system.sync)
    system.sync.hset(keys.REACH, row, "all")
    assert reach.remove(system.sync, reach.parse_number(to))
    assert {"*": "lanes:2,3"} == reach.read(system.sync)


def stops(system: System, to: str) -> None:
    """Take a STOP of the person to one of our numbers."""
    system.run(take(system.client, InboundReply("reply", PERSON, to, "STOP", at=system.now), build({}), system.now))

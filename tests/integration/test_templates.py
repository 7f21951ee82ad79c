"""Templates and opt-out lines on a real Redis: stored by operators, used by library, HTTP API and command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import redis
from typer.testing import CliRunner, Result

from tests.integration.http_api import Api
from tests.servers import RedisServer
from threelane import HttpProducer, Producer, Refused, Unavailable
from threelane.interfaces.command.line import app
from threelane.operations import damage
from threelane.producer import wording
from threelane.producer.accept import Accepted
from threelane.store import audit, keys, opt_out_lines, templates

TO = "27831234567"
STOP = "Reply STOP to end"
NAME = "order-shipped"
TEXT = "Dear {name}, order {order} is on its way"
VALUES = {"name": "Ana", "order": 4711}


@pytest.fixture
def stored(client: redis.Redis) -> redis.Redis:
    """A Redis with version 1 of a template."""
    templates.put(client, NAME, TEXT, now=1, who="ops")
    return client


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What operators change applies to the next message."""
    monkeypatch.setattr(wording, "FRESH_MS", 0)


def text_of(client: redis.Redis, answer: Accepted) -> str:
    body: Any = client.hget(keys.record(answer.id), "body")
    return str(json.loads(body)["text"])


def test_a_message_names_a_template_and_its_values(producer: Producer, stored: redis.Redis) -> None:
    """The text is made at accept, and the answer names the version that was used."""
    newest = producer.send(TO, template=NAME, values=VALUES)
    pinned = producer.send(TO, template=f"{NAME}@1", values={"name": "Bo", "order": 5})

    assert "Dear Ana, order 4711 is on its way" == text_of(stored, newest)
    assert "Dear Bo, order 5 is on its way" == text_of(stored, pinned)
    assert f"{NAME}@1" == newest.template == pinned.template


@pytest.mark.parametrize(
    ("fields", "field", "problem"),
    [
        ({"template": "order-shiped"}, "template", "no template is stored as 'order-shiped'"),
        ({"template": f"{NAME}@7", "values": VALUES}, "template", "no template is stored as 'order-shipped@7'"),
        ({"template": NAME}, "values.name", "the template order-shipped@1 needs {name}"),
        ({"template": NAME, "values": {"name": "Ana"}}, "values.order", "needs {order}"),
        ({"template": NAME, "values": {**VALUES, "nmae": "x"}}, "values.nmae", "has {name}, {order}"),
        ({"template": NAME, "values": {**VALUES, "name": ""}}, "values.name", "the value shows nothing"),
        ({"template": NAME, "values": {**VALUES, "name": "#N/A"}}, "values.name", "#N/A instead of a value"),
        ({"template": NAME, "values": {**VALUES, "name": "{first_name}"}}, "values.name", "{first_name} instead"),
        ({"template": NAME, "values": VALUES, "text": "Hello"}, "template", "a template and a text"),
        ({"text": "Hello", "values": VALUES}, "values", "a template and a text"),
        ({"values": VALUES}, "values", "no template"),
    ],
)
def test_a_template_that_cannot_be_filled_is_refused_by_field(
    producer: Producer, stored: redis.Redis, fields: dict[str, Any], field: str, problem: str
) -> None:
    """Nobody gets "Dear {name}", nor "Dear ,"."""
    refused = producer.try_send(TO, **fields)

    assert isinstance(refused, Refused)
    assert field == refused.field
    assert problem in refused.problem
    assert refused.remedy


def test_a_version_never_changes_and_its_number_is_never_used_again(client: redis.Redis) -> None:
    """A message that names it gets the text that its sender tested."""
    assert ("a@1", True) == _put(client, "Hello")
    assert ("a@1", False) == _put(client, "Hello")
    assert ("a@2", True) == _put(client, "Hi")
    assert ("a@3", True) == _put(client, "Hello")  # an earlier text again is the newest from now on
    assert ["a@3"] == templates.remove(client, "a@3")
    assert "a@2" == _found(client, "a")
    assert ["a@1", "a@2"] == templates.remove(client, "a")
    assert [] == templates.remove(client, "a")
    assert templates.find_one(client, "a") is None
    assert ("a@4", True) == _put(client, "Hello")
    assert ["a@4 stored", "a@1, a@2 removed"] == [one.detail for one in audit.read(client, 2)]


def _put(client: redis.Redis, text: str) -> tuple[str, bool]:
    stored, is_new = templates.put(client, "a", text, now=1, who="ops")
    return stored.reference, is_new


def _found(client: redis.Redis, reference: str) -> str:
    found = templates.find_one(client, reference)
    return found.reference if found else ""


@pytest.mark.usefixtures("at_once")
def test_a_repeated_call_is_the_same_message_after_template_and_line_changed(
    producer: Producer, stored: redis.Redis
) -> None:
    """Its caller repeats what it gave; what operators change in between makes no conflict and no second message."""
    first = producer.send(TO, template=NAME, values=VALUES, client_message_id="1")
    templates.put(stored, NAME, f"{TEXT}!", now=2)
    opt_out_lines.set_line(stored, "lane:3", STOP)
    again = producer.send(TO, template=NAME, values=VALUES, client_message_id="1")

    assert (first.id, True, f"{NAME}@2") == (again.id, again.repeated, again.template)
    assert "Dear Ana, order 4711 is on its way" == text_of(stored, first)


@pytest.mark.usefixtures("at_once")
def test_lines_are_added_answered_and_counted(producer: Producer, client: redis.Redis) -> None:
    """Once for each message that is accepted, with the parts that they cost; a dry run answers the same."""
    opt_out_lines.set_line(client, "tag:news", STOP)
    news: dict[str, Any] = {"to": TO, "tags": ["news"]}
    messages = [
        {**news, "text": "Sale"},
        {**news, "text": "a" * 150, "client_message_id": "1"},
        {"to": TO, "text": "x"},
    ]
    rehearsed = [one for one in producer.rehearse(messages) if not isinstance(one, Refused)]
    answers = [one for one in producer.send_rows([*messages, messages[1]]) if isinstance(one, Accepted)]

    assert [("tag:news", 0), ("tag:news", 1), ("", 0)] == [(one.opt_out, one.opt_out_parts) for one in rehearsed]
    assert [(one.opt_out, one.opt_out_parts, one.parts) for one in rehearsed] == [
        (one.opt_out, one.opt_out_parts, one.parts) for one in answers[:3]
    ]
    assert answers[3].repeated
    assert f"Sale\n{STOP}" == text_of(client, answers[0])
    assert [b"2", b"1"] == client.hmget(keys.TALLY, "opt_out_lines:3", "opt_out_parts:3")


def test_settings_are_read_once_a_minute_and_templates_when_they_are_named(stored: redis.Redis) -> None:
    """A message without a template costs no command of its own; one that is not stored is looked for each time."""
    reads: list[int] = []

    def connection() -> redis.Redis:
        reads.append(1)
        return stored

    known = wording.StoredWording()
    cost = []
    for now, template in [
        (100_000, ""), (100_001, ""), (100_001, NAME), (100_002, NAME), (159_999, ""), (160_000, ""), (160_001, NAME),
        (160_002, "nothing"), (160_003, "nothing"),
    ]:  # fmt: skip
        known.learn([{"template": template} if template else {"text": "Hello"}, 5], connection, now)
        cost.append(len(reads))
        reads.clear()

    assert [1, 0, 1, 0, 0, 1, 1, 1, 1] == cost


def test_a_key_of_another_type_refuses_what_needs_it_and_is_listed(producer: Producer, client: redis.Redis) -> None:
    """Nothing goes out without a line that may be there; login codes go on."""
    client.set(keys.OPT_OUT_LINES, "x")
    client.set(keys.TEMPLATES, "x")

    assert isinstance(producer.try_send(TO, "Hello"), Refused)
    assert isinstance(producer.try_send(TO, "Code 1", lane=1), Accepted)
    refused = producer.try_send(TO, template=NAME, lane=1)
    assert isinstance(refused, Refused)
    assert {keys.OPT_OUT_LINES, keys.TEMPLATES} <= {one.key for one in damage.find(client)}


def test_an_unreadable_row_refuses_its_messages_and_is_listed(producer: Producer, stored: redis.Redis) -> None:
    """Its operator removes it with one command, and stores it again."""
    stored.hset(keys.TEMPLATES, f"{NAME}@1", b"\xff")
    stored.hset(keys.TEMPLATES, f"{NAME}@²", b"\xff")
    stored.hset(keys.OPT_OUT_LINES, "tag:news", b"\xff")

    refused = producer.try_send(TO, template=NAME, values=VALUES)
    assert isinstance(refused, Refused)
    assert "is damaged" in refused.problem
    assert isinstance(producer.try_send(TO, "Sale", tags=["news"]), Refused)
    rows = {(keys.TEMPLATES, f"{NAME}@1"), (keys.TEMPLATES, f"{NAME}@²"), (keys.OPT_OUT_LINES, "tag:news")}
    assert rows == {(one.key, one.row) for one in damage.find(stored)}


def test_an_api_key_may_use_templates(api: Api, stored: redis.Redis) -> None:
    """By the same fields."""
    assert not stored.exists(keys.OPT_OUT_LINES)
    with HttpProducer(api.url, api.key("shop")) as shop:
        answer = shop.send(TO, template=NAME, values=VALUES)
        refused = shop.try_send(TO, template=NAME, values={"name": "Ana"})

    assert f"{NAME}@1" == answer.template
    assert not isinstance(refused, Unavailable)
    assert isinstance(refused, Refused)
    assert "values.order" == refused.field


def test_a_list_over_http_may_name_templates(api: Api, stored: redis.Redis) -> None:
    """Each message has its own."""
    messages: list[Any] = [{"to": TO, "template": NAME, "values": VALUES}, {"to": TO, "template": "nothing"}]
    with HttpProducer(api.url, api.key("shop")) as shop:
        first, second = shop.send_many(messages)

    assert isinstance(first, Accepted)
    assert isinstance(second, Refused)
    assert "Dear Ana, order 4711 is on its way" == text_of(stored, first)


class Operator:
    """Types commands."""

    def __init__(self, redis_url: str) -> None:
        self.environment = {"THREELANE_REDIS_URL": redis_url, "COLUMNS": "200"}

    def types(self, *words: str, given: str | None = None) -> Result:
        return CliRunner().invoke(app, words, env=self.environment, input=given)


@pytest.fixture
def operator(client: redis.Redis, redis_server: RedisServer) -> Operator:
    """An operator of an empty Redis."""
    assert not client.exists(keys.TEMPLATES)
    return Operator(redis_server.url)


def test_templates_on_the_command_line(operator: Operator, tmp_path: Path) -> None:
    """Stored from a file, an option or standard input; listed, shown, removed."""
    file = tmp_path / "text.txt"
    file.write_bytes(b"\xef\xbb\xbfDear {name},\r\nhello\r\n")
    assert "a@1 stored; it needs {name}" in operator.types("template", "put", "a", str(file)).stdout
    assert (
        "a@1 is this text already" in operator.types("template", "put", "a", "-", given="Dear {name},\nhello\n").stdout
    )
    assert "a@2 stored; it needs no value" in operator.types("template", "put", "a", "--text", "Hi {{x}}").stdout
    assert "Dear {name},\nhello" in operator.types("template", "show", "a@1").stdout
    listed = json.loads(operator.types("template", "list", "--json").stdout)
    assert [("a", 1, "Dear {name},\nhello"), ("a", 2, "Hi {{x}}")] == [
        (one["name"], one["version"], one["text"]) for one in listed
    ]
    assert "removed: a@1, a@2" in operator.types("template", "remove", "a").stdout


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("put", "a"), 2, "either a file, or --text"),
        (("put", "a", "--text", "Dear {name"), 2, "'{' at character 6"),
        (("put", "a", "--text", " "), 2, "the text is empty"),
        (("put", "!", "--text", "x"), 2, "is not the name of a template"),
        (("put", "a", "/nowhere/x"), 2, "No such file"),
        (("show", "order-shipped"), 6, "did you mean order-shiped?"),
        (("show", "a@b"), 2, "is not the name of a template"),
        (("remove", "a"), 6, "no template is stored"),
        (("opt-out", "set", "lane:9", "x"), 2, "cannot have an opt-out line"),
        (("opt-out", "set", "lane:2", " "), 2, "the opt-out line is empty"),
        (("opt-out", "remove", "lane:2"), 6, "has no opt-out line"),
    ],
)
def test_a_wrong_command_has_its_sentence_and_code(
    operator: Operator, client: redis.Redis, words: tuple[str, ...], code: int, sentence: str
) -> None:
    """And changes nothing."""
    templates.put(client, "order-shiped", "x", now=1)
    result = operator.types("template", *words)

    assert code == result.exit_code, result.output
    assert sentence in result.output
    assert ["order-shiped@1"] == [one.reference for one in templates.listed(client)]


def test_opt_out_lines_on_the_command_line(operator: Operator, client: redis.Redis) -> None:
    """What it costs is printed when it is set; each change is in the audit."""
    assert "it takes 18 of the 160 septets" in operator.types("template", "opt-out", "set", "tag:news", STOP).stdout
    assert "sent in UCS-2" in operator.types("template", "opt-out", "set", "lane:2", "Réponds “STOP”").stdout
    assert {"lane:2": "Réponds “STOP”", "tag:news": STOP} == json.loads(
        operator.types("template", "opt-out", "list", "--json").stdout
    )["lines"]
    assert STOP in operator.types("template", "opt-out", "list").stdout
    assert 0 == operator.types("template", "opt-out", "remove", "tag:news").exit_code
    assert ["tag:news: removed", "lane:2: Réponds “STOP”", f"tag:news: {STOP}"] == [
        one.detail for one in audit.read(client, 3)
    ]


def test_rows_of_a_file_are_known_by_template_and_values(
    operator: Operator, stored: redis.Redis, tmp_path: Path
) -> None:
    """In any order, and with a row that is new: what was accepted is not sent again."""
    rows = [{"to": f"2783123456{n}", "template": NAME, "values": {"name": "Ana", "order": n}} for n in (1, 2, 1)]
    rows[2]["values"] = {"name": "Ana", "order": 3}
    file = tmp_path / "orders.jsonl"
    words = ("bulk", str(file), "--duplicates", "send", "--numbers", "international", "--json")

    def accepted(lines: list[dict[str, Any]]) -> list[str]:
        file.write_text("".join(f"{json.dumps(one)}\n" for one in lines))
        result = operator.types(*words)
        answers = [json.loads(line) for line in result.stdout.splitlines()]
        assert [] == [one for one in answers if one.get("accepted") is False], result.output
        bodies: Any = [stored.hget(key, "body") for key in stored.scan_iter("tl:m:*")]
        return sorted(json.loads(body)["text"] for body in bodies)

    before = accepted(rows[:2])
    after = accepted(rows[::-1])
    assert [f"Dear Ana, order {n} is on its way" for n in (1, 2)] == before
    assert [f"Dear Ana, order {n} is on its way" for n in (1, 2, 3)] == after


def test_a_file_and_a_message_are_sent_with_a_stored_template(
    operator: Operator, client: redis.Redis, tmp_path: Path
) -> None:
    """The output names the version, and what the opt-out line costs."""
    templates.put(client, NAME, TEXT, now=1)
    opt_out_lines.set_line(client, "lane:3", STOP)
    file = tmp_path / "orders.csv"
    file.write_text("to,name,order\n27831234567,Ana,1\n27831234568,Bo,2\n")
    words = ("bulk", str(file), "--template", NAME, "--numbers", "international")

    rehearsed = operator.types(*words, "--dry-run")
    assert (0, True) == (rehearsed.exit_code, f"template {NAME}@1" in rehearsed.stdout)
    assert f"    Dear Ana, order 1 is on its way\n    {STOP}\n" in rehearsed.stderr  # the preview
    assert "2 with an opt-out line that costs 0 of the parts" in rehearsed.stdout
    assert 0 == operator.types(*words).exit_code
    bodies = sorted(json.loads(client.hget(key, "body"))["text"] for key in client.scan_iter("tl:m:*"))  # type: ignore[arg-type]
    assert [f"Dear {who}, order {n} is on its way\n{STOP}" for who, n in (("Ana", 1), ("Bo", 2))] == bodies

    one = operator.types("send", TO, "--template", f"{NAME}@1", "--value", "name=Cy", "--value", "order=3")
    assert f"template {NAME}@1, with the opt-out line of lane:3" in one.stdout
    assert 2 == operator.types("bulk", str(file), "--template", NAME, "--text", "x").exit_code
    assert 6 == operator.types("bulk", str(file), "--template", "nothing").exit_code

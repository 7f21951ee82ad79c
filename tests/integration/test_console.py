"""The console over real HTTP: who gets in, what a form needs, what is escaped, and what each action does."""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis

from tests.integration.console import FORM, Visitor, words
from tests.integration.http_api import Api, now, wide_key
from tests.integration.test_callbacks import attempted
from tests.servers import RedisServer
from threelane import Status
from threelane.interfaces.console import session
from threelane.interfaces.console.page import PageRoute
from threelane.interfaces.web.app import PAGES
from threelane.store import access, audit, keys, logins, suppression
from threelane.store.batches import digest
from threelane.store.suppression import OPERATOR
from threelane.worker.account import hold
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind

NUMBER = "27831234567"
BATCHES = "/console/batches"
EVIL = "<script>alert('x')</script>\"'><img src=x onerror=alert(1)>"
TOO_LONG = AttemptOutcome(OutcomeKind.REFUSED, code="113", text=f"Too many parts for {NUMBER} {EVIL}")


@pytest.fixture
def visitor(api: Api) -> Visitor:
    """An operator who has logged in, with a key that may read texts."""
    made = Visitor(api)
    assert 200 == made.log_in(api.key("ops", operator=True, texts=True, evidence=True)).status
    return made


def dead(api: Api, redis_server: RedisServer, number: int = 3) -> list[str]:
    """Return ids of messages that the gateway refused."""
    messages = [{"to": f"2783123{4567 + n}", "text": "Hello", "batch": "news"} for n in range(number)]
    ids = [answer.id for answer in api.producer.send_many(messages)]
    attempted(redis_server.url, ids, TOO_LONG)
    assert number == api.redis.zcard(keys.DEAD)
    api.redis.zadd(keys.DEAD, dict.fromkeys(ids, now(api.redis) - 5_000))  # they died at the end of their second
    return ids


# Who gets in.


def addresses() -> list[tuple[str, str]]:
    """Return every address of the page that needs a login: method and path."""
    routes = [one for router in PAGES for one in router.routes if isinstance(one, PageRoute)]
    found = [(method, one.path) for one in routes for method in one.methods]
    return sorted(
        (method, path) for method, path in found if not path.startswith(("/console/login", "/console/static"))
    )


def test_every_address_but_the_login_needs_a_login(api: Api) -> None:
    """Each that is ever added, too: they are read from the application."""
    stranger = Visitor(api)
    every = addresses()
    assert 15 <= len(every)
    for method, path in every:
        place = path.replace("{message_id:message}", "0" * 32).replace("{digest:digest}", "0" * 40)
        response = stranger.get(place) if method == "GET" else stranger.post(place, follow=False, csrf="x")
        assert (303, "/console/login") == (response.status, response.headers.get("location")), (method, path)


@pytest.mark.parametrize("path", ["/console", "/console/dead"])
def test_an_api_key_alone_does_not_log_in(api: Api, path: str) -> None:
    """The console accepts only its cookie: tokens guard what a browser sends automatically."""
    assert 303 == api.request("GET", path, key=api.key("ops", operator=True)).status


def test_only_a_key_with_the_right_of_an_operator_logs_in(api: Api) -> None:
    """A key without the right is answered with the missing right; a wrong key is answered without a reason."""
    made = Visitor(api)
    assert "not an operator key" in words(made.log_in(api.key("shop", suppression=True)))
    for wrong in ("", "tl_0_0", api.key("ops", operator=True) + "x", "é😀" * 10, "x" * 3000):
        response = made.log_in(wrong)
        assert (403, True) == (response.status, "unknown, expired or revoked" in words(response))
    assert 303 == made.get("/console").status
    assert not list(api.redis.scan_iter("tl:console:*"))


def test_the_cookie_is_kept_from_scripts_and_other_sites_and_its_token_from_redis(api: Api, visitor: Visitor) -> None:
    """HttpOnly, SameSite=Strict, Secure where the browser came by TLS; Redis has a digest that expires."""
    made = Visitor(api)
    made.get("/console/login")
    key = api.key("ops", operator=True)
    plain = made.post("/console/login", follow=False, key=key).headers["set-cookie"]
    made.get("/console/login")
    before = made.cookies["threelane-login"]
    by_tls = made.post(
        "/console/login", follow=False, key=key, headers={"Origin": f"https://127.0.0.1:{api.port}"}
    ).headers["set-cookie"]
    assert before
    for wanted in ("HttpOnly", "SameSite=strict", "Path=/console;"):
        assert wanted in plain + ";"
    assert ("Secure" in plain, "Secure" in by_tls) == (False, True)
    kept = list(api.redis.scan_iter("tl:console:*"))
    assert 3 == len(kept)
    for name in kept:
        assert 0 < api.redis.pttl(name) <= session.IDLE_MS
        assert visitor.cookies["threelane"].encode() not in name + b"".join(api.redis.hgetall(name).values())


def test_a_login_ends_when_it_is_left_when_its_key_is_revoked_and_after_half_a_day(api: Api, visitor: Visitor) -> None:
    """At once, for every holder of the cookie."""
    cookie = dict(visitor.cookies)
    visitor.get("/console")
    assert "Log in" in words(visitor.post("/console/logout"))
    visitor.cookies = cookie
    assert 303 == visitor.get("/console").status

    made = wide_key(api.redis, "ops", operator=True)
    visitor.log_in(made.token)
    access.revoke(api.redis, made.key.id)
    assert 303 == visitor.get("/console").status

    visitor.log_in(api.key("ops", operator=True))
    (name,) = api.redis.scan_iter("tl:console:*")
    api.redis.hset(name, "made", now(api.redis) - session.LONGEST_MS)
    assert 303 == visitor.get("/console").status


def test_wrong_keys_are_delayed_and_a_right_key_is_never_refused(api: Api) -> None:
    """Behind a proxy all operators have one address: somebody who tries keys must not keep them out."""
    made, key = Visitor(api), api.key("ops", operator=True)
    refused = [made.log_in("tl_a_b") for _ in range(12)]
    assert [403] * logins.FREE + [429] * 7 == [one.status for one in refused]
    assert [1, 2, 4, 8, 16, 32, 64] == [int(one.headers["retry-after"]) for one in refused[logins.FREE :]]
    assert 12 == logins.refused_recently(api.redis)
    assert 200 == made.log_in(key).status
    assert 403 == made.log_in("tl_b_c").status  # a right key ends the delays of its address


def test_delays_reach_their_limit_and_their_counts_have_a_limit_too(client: redis.Redis) -> None:
    """A flood from many addresses, with many ids, must not fill Redis."""
    assert logins.LONGEST_SECONDS == logins.delay_seconds(1_000_000)
    for number in range(300):
        logins.count_wrong(client, f"10.1.{number // 250}.{number % 250}", f"tl_k{number}_x")
    names = {name.decode() for name in client.scan_iter(keys.console_tries("*"), count=1000)}
    assert all(re.fullmatch(r"tl:console-tries:(address|key):[0-9a-f]{3}", name) for name in names)
    assert all(0 < client.pttl(name) <= logins.TRIES_MS for name in names)


VIEWER_MAY = {"/console/logout", "/console/search", "/console/suppression"}  # forms that only look something up


def test_a_viewer_sees_every_page_and_changes_nothing(api: Api, redis_server: RedisServer) -> None:
    """Each form that is ever added, too: they are read from the application."""
    (message_id,) = dead(api, redis_server, 1)
    viewer = Visitor(api)
    assert 200 == viewer.log_in(api.key("audit", viewer=True)).status
    viewer.post("/console/suppression", number=NUMBER)
    for method, path in addresses():
        if path in VIEWER_MAY:
            continue
        place = path.replace("{message_id:message}", message_id).replace("{digest:digest}", digest("", "news"))
        place += "?owner=producer" if path.endswith("pile") else ""
        page = viewer.get(place) if method == "GET" else viewer.post(place, follow=False)
        assert (200 if method == "GET" else 403) == page.status, (method, path)
        if method == "POST":
            assert "may only read" in words(page) or "may not see numbers" in words(page)
        else:
            if path.endswith("/report"):
                continue
            actions = set(re.findall(r'method="post" action="([^"]+)"', page.body))
            assert actions <= VIEWER_MAY, (path, actions)
            assert ("read only" in words(page), NUMBER in page.body) == (True, path == "/console/suppression")
    assert 1 == api.redis.zcard(keys.DEAD)


# What a form needs.


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({}, ""),
        ({}, "wrong"),
        ({}, "é"),
        ({"Origin": "https://evil.example"}, None),
        ({"Origin": "null"}, None),
        ({"Origin": ""}, None),
        ({"Origin": "http://[:1"}, None),
        ({"Sec-Fetch-Site": "cross-site"}, None),
        ({"Sec-Fetch-Site": "same-site"}, None),
    ],
)
def test_a_form_that_another_page_sent_is_refused(
    api: Api, visitor: Visitor, headers: dict[str, str], token: str | None
) -> None:
    """By its token and by its Origin, each alone; and nothing was done."""
    visitor.get("/console")
    response = visitor.post(
        "/console/hold",
        follow=False,
        headers=headers,
        csrf=visitor.token if token is None else token,
        scope="lane:3",
        cause="x",
    )
    assert (403, True) == (response.status, "was not sent from this page" in words(response))
    assert not hold.holds(api.redis, 0)


def test_the_token_of_one_login_is_none_of_another(api: Api, visitor: Visitor) -> None:
    """Not even for the same key."""
    other = Visitor(api)
    other.log_in(api.key("ops", operator=True))
    assert visitor.token != other.token
    assert 403 == visitor.post("/console/logout", follow=False, csrf=other.token).status


def test_a_login_form_from_another_page_is_refused(api: Api) -> None:
    """Otherwise another site could log a browser in as somebody else."""
    made, key = Visitor(api), api.key("ops", operator=True)
    assert 403 == made.post("/console/login", follow=False, key=key).status
    made.get("/console/login")
    made.cookies["threelane-login"] = "other"
    assert 403 == made.post("/console/login", follow=False, key=key).status


@pytest.mark.parametrize("body", [b"\xff\xfe", b"a=1&" * 40, b"x" * 600_000])
def test_a_body_that_is_not_a_form_is_refused_with_a_page(api: Api, visitor: Visitor, body: bytes) -> None:
    """Too long, too many fields, no UTF-8."""
    response = visitor.request("POST", "/console/hold", body, FORM | {"Origin": api.url})
    assert response.status in (400, 403, 413)
    assert "text/html" in response.headers["content-type"]


@pytest.mark.parametrize(
    ("path", "fields", "problem"),
    [
        ("hold", {"scope": "lane:4", "cause": "x"}, "cannot be on hold"),
        ("hold", {"scope": "lane:1", "cause": ""}, "a hold needs a cause"),
        ("hold", {"scope": "lane:1", "cause": "x", "minutes": "soon"}, "minutes"),
        ("hold", {"scope": "lane:1", "cause": "x", "minutes": "nan"}, "minutes"),
        ("hold", {"scope": "lane:1", "cause": "two\nlines"}, "one line"),
        ("suppression", {"number": "0831234567"}, "number:"),
        ("suppression/add", {"number": NUMBER, "scope": "nobody"}, "scope:"),
        ("suppression/add", {"number": NUMBER, "days": "-1"}, "days:"),
        ("suppression/remove", {"number": NUMBER}, "incomplete"),
        ("dead/redrive", {"before": "1"}, "neither an owner nor a code"),
        ("dead/redrive", {"code": "113"}, "incomplete"),
        ("schedules/cancel", {}, "neither a batch nor a tag"),
    ],
)
def test_an_invalid_form_is_refused_with_a_sentence(
    visitor: Visitor, path: str, fields: dict[str, str], problem: str
) -> None:
    """422, with the field, and without a traceback."""
    visitor.get("/console")
    response = visitor.post(f"/console/{path}", **fields)
    assert (422, True) == (response.status, problem in words(response)), words(response)


# What browsers get.


def test_pages_name_nothing_from_elsewhere_and_browsers_run_nothing_inline(api: Api, visitor: Visitor) -> None:
    """A strict policy, and no inline script, style or handler that would need another."""
    api.producer.send(NUMBER, "Hello", batch="news")
    pages = ("/console", "/console/login", "/console/search", "/console/schedules", "/console/suppression")
    for path in (*pages, BATCHES, f"{BATCHES}/{digest('', 'news')}"):
        response = visitor.get(path)
        policy = response.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'self'; script-src 'self'")
        assert "unsafe" not in policy
        assert ("DENY", "nosniff", "no-store", "same-origin") == tuple(
            response.headers[name]
            for name in ("x-frame-options", "x-content-type-options", "cache-control", "referrer-policy")
        )
        assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?! defer src=)|https?://", response.body)
        for address in re.findall(r'(?:href|src)="(/console/static/[^"]+)"', response.body):
            assert 200 == api.request("GET", address).status


def test_an_unknown_file_and_an_unknown_message_have_their_pages(visitor: Visitor) -> None:
    """404 in words."""
    for path in ("/console/static/x/session.py", f"/console/messages/{'0' * 32}"):
        response = visitor.get(path)
        assert (404, True) == (response.status, "text/html" in response.headers["content-type"])


def test_hostile_texts_are_shown_and_never_run(api: Api, visitor: Visitor, redis_server: RedisServer) -> None:
    """In a text, a hold's cause, evidence, a gateway's words, and what was searched for."""
    waiting = api.producer.send(NUMBER, EVIL, lane=2, deliver_at=_later()).id
    (refused,) = dead(api, redis_server, 1)
    visitor.get("/console")
    pages = [
        visitor.post("/console/hold", scope="lane:3", cause=EVIL),
        visitor.post("/console/suppression/add", number=NUMBER, evidence=EVIL),
        visitor.post("/console/search", term=EVIL),
        visitor.post(f"/console/messages/{waiting}"),
        visitor.get(f"/console/messages/{refused}"),
        visitor.get("/console/schedules?batch=%3Cscript%3E"),
    ]
    for one in pages:
        assert (200, False, False) == (one.status, "<script>" in one.body, "<img" in one.body), words(one)
        assert "&lt;script&gt;" in one.body


# What each page shows and does.


def test_lanes_holds_and_money_are_on_the_first_page(api: Api, visitor: Visitor) -> None:
    """The backlog, the holds with their owners, the balance; rates from the second look on."""
    api.producer.send_many({"to": f"2783123{4000 + n}", "text": "Hello", "lane": 1} for n in range(7))
    api.redis.hset(keys.HOLDS, "account", b'{"code":"301","cause":"no_credit","since":1,"until":0}')
    api.redis.hset(keys.BALANCE, mapping={"credits": 5_000_000, "left": 5_000_000, "at": now(api.redis)})
    response = visitor.get("/console")
    cells = dict(re.findall(r'data-live="([^"]+)">([^<]*)<', response.body))
    assert ("7", "0") == (cells["waiting-1"], cells["waiting-3"])
    for wanted in ("account", "301 no credit", "there is credit again", "5.00 left", "0 workers", "2.00 short"):
        assert wanted in words(response)
    (name,) = api.redis.scan_iter("tl:console:*")
    look = api.redis.hget(name, "look")
    api.redis.hset(name, "look", re.sub(rb'"at":\d+', b'"at":%d' % (now(api.redis) - 7_000), look.replace(b"7", b"0")))
    assert 0.5 < float(dict(re.findall(r'data-live="([^"]+)">([^<]*)<', visitor.get("/console").body))["In /s-1"]) <= 1


def test_a_hold_shows_its_evidence_and_its_next_probe(api: Api, visitor: Visitor) -> None:
    """An operator sees what it was inferred from, and when a message tests it."""
    evidence = {"messages": 6, "tried": 7, "numbers": 5, "since": 1_790_000_000_000}
    entry = {"code": "114", "cause": "cannot_route", "since": 1_790_000_000_000, "until": 0, "probe_ms": 60_000}
    api.redis.hset(keys.HOLDS, "prefix:2783123", json.dumps(entry | {"evidence": evidence}))
    shown = words(visitor.get("/console"))
    for wanted in ("6 of 7 messages to 5 numbers", "next probe 2026-09-21 14:14"):
        assert wanted in shown


def test_a_lane_is_paused_and_resumed(api: Api, visitor: Visitor) -> None:
    """With a cause, for some minutes; the result is shown once, on the next page."""
    visitor.get("/console")
    response = visitor.post("/console/hold", scope="lane:2", cause="wrong link", minutes="30")
    held = hold.holds(api.redis, now(api.redis))["lane:2"]
    assert ("wrong link", 30) == (held.cause, (held.until - held.since) // 60_000)
    assert ("lane:2 is on hold." in words(response), "lane:2 is on hold." in words(visitor.get("/console"))) == (
        True,
        False,
    )
    assert "lane:2 is resumed." in words(visitor.post("/console/resume", scope="lane:2"))
    assert "was no longer on hold" in words(visitor.post("/console/resume", scope="lane:2"))
    assert {} == hold.holds(api.redis, now(api.redis))


def test_a_look_of_the_script_takes_no_words_away(visitor: Visitor) -> None:
    """What was done is for the person, not for the script that refreshes the numbers."""
    visitor.get("/console")
    visitor.post("/console/hold", follow=False, scope="lane:2", cause="x")
    visitor.request("GET", "/console", headers={"X-Threelane-Look": "1"})
    assert "lane:2 is on hold." in words(visitor.get("/console"))


def test_dead_letters_are_grouped_rehearsed_and_redriven_once(
    api: Api, visitor: Visitor, redis_server: RedisServer
) -> None:
    """What died after the rehearsal stays dead until it was shown, too."""
    ids = dead(api, redis_server)
    api.redis.hset(keys.record(ids[0]), "expires", 1)
    groups = words(visitor.get("/console/dead"))
    assert "producer 113 too many parts 3 2 2.00 1" in groups, groups
    plan = visitor.get("/console/dead/pile?owner=producer&code=113")
    assert "Messages 2 Parts 2 Credits, about 2.00" in words(plan)
    assert 3 == api.redis.zcard(keys.DEAD)
    (before,) = re.findall(r'name="before" value="(\d+)"', plan.body)
    early = visitor.post("/console/dead/redrive", owner="producer", code="113", before="1000")
    assert "0 redriven." in words(early)
    once = visitor.post("/console/dead/redrive", owner="producer", code="113", before=before)
    again = visitor.post("/console/dead/redrive", owner="producer", code="113", before=before)
    assert ("2 redriven, 1 expired." in words(once), "0 redriven, 1 expired." in words(again)) == (True, True)
    assert [Status.DEAD, Status.QUEUED, Status.QUEUED] == [one.status for one in api.producer.statuses(ids) if one]


@pytest.mark.parametrize("term", ["id", "number", "client", "batch", "tag"])
def test_a_message_is_found_by_any_of_its_terms(api: Api, visitor: Visitor, term: str) -> None:
    """Its number is masked, and in no address."""
    sent = api.producer.send(NUMBER, "Hello", client_message_id="login4711", batch="news-7", tags=["promo"], lane=1)
    fields = {"id": sent.id, "number": "+27 83 123 4567", "client": "login4711", "batch": "news-7", "tag": "promo"}[
        term
    ]
    visitor.get("/console/search")
    answer = visitor.post("/console/search", follow=False, term=fields)
    assert "/console/search" == urlsplit(answer.headers["location"]).path == answer.headers["location"]
    found = visitor.get("/console/search")
    assert f"/console/messages/{sent.id}" in found.body
    assert ("27831******" in found.body, NUMBER in found.body) == (True, False)


def test_a_story_masks_the_number_and_shows_it_and_the_text_on_request(
    api: Api, visitor: Visitor, redis_server: RedisServer
) -> None:
    """Also in the gateway's text; a key without the right to read texts is refused with that reason."""
    (message,) = dead(api, redis_server, 1)
    masked, shown = visitor.get(f"/console/messages/{message}"), visitor.post(f"/console/messages/{message}")
    assert ("113 too many parts Too many parts for 27831******" in words(masked), NUMBER in masked.body) == (
        True,
        False,
    )
    assert ("Hello" in words(masked), "Text Hello" in words(shown), NUMBER in shown.body) == (False, True, True)
    other = Visitor(api)
    other.log_in(api.key("ops", operator=True))
    other.get(f"/console/messages/{message}")
    bare = other.post(f"/console/messages/{message}")
    assert ("Hello" in words(bare), "may not read texts" in words(bare), NUMBER in bare.body) == (False, True, True)


def test_one_message_is_cancelled_and_one_dead_letter_redriven(
    api: Api, visitor: Visitor, redis_server: RedisServer
) -> None:
    """Each from its own page."""
    (letter,) = dead(api, redis_server, 1)
    waiting = api.producer.send(NUMBER, "Hello", deliver_at=_later()).id
    visitor.get(f"/console/messages/{letter}")
    assert "redriven." in words(visitor.post(f"/console/messages/{letter}/redrive"))
    assert "under way." in words(visitor.post(f"/console/messages/{letter}/redrive"))
    assert "It will not be sent." in words(visitor.post(f"/console/messages/{waiting}/cancel"))
    assert "Too late" in words(visitor.post(f"/console/messages/{waiting}/cancel"))
    assert [Status.QUEUED, Status.CANCELLED] == [one.status for one in api.producer.statuses([letter, waiting]) if one]


def test_schedules_are_listed_filtered_and_cancelled(api: Api, visitor: Visitor) -> None:
    """One, and all of a batch; never all there is."""
    messages = [
        {"to": f"2783123{4000 + n}", "text": "Hello", "deliver_at": _later(), "batch": f"b{n % 2}"} for n in range(6)
    ]
    ids = [one.id for one in api.producer.send_many(messages)]
    page = visitor.get("/console/schedules?batch=b1")
    assert [False, True, False, True, False, True] == [one in page.body for one in ids]
    back = visitor.post(f"/console/messages/{ids[0]}/cancel", follow=False, back="schedules")
    assert "/console/schedules" == back.headers["location"]
    assert "3 cancelled." in words(visitor.post("/console/schedules/cancel", batch="b1", tag=""))
    assert 2 == api.redis.zcard(keys.DUE[3])
    assert 422 == visitor.get("/console/schedules?lane=9").status


def test_a_batch_is_paused_resumed_cancelled_and_its_report_downloaded(api: Api, visitor: Visitor) -> None:
    """By its digest, so that no name is in an address; each change is in the audit, with the key."""
    api.producer.send_many([{"to": f"2783123456{n}", "text": "Hello", "batch": EVIL[:255]} for n in range(3)])
    one = f"{BATCHES}/{digest('', EVIL[:255])}"
    listed = visitor.get(BATCHES)
    assert (True, False, 1) == (one in listed.body, "<script>" in listed.body, words(listed).count(EVIL))
    assert "Waiting 3" in words(visitor.get(one))
    assert "Paused; 3 messages put aside now." in words(visitor.post(f"{one}/pause"))
    assert "Paused since" in words(visitor.get(one))
    assert "paused" in words(visitor.get(BATCHES))
    assert "Resumed; 3 messages go back" in words(visitor.post(f"{one}/resume"))
    assert "3 cancelled." in words(visitor.post(f"{one}/cancel"))
    assert "nothing left to cancel." in words(visitor.post(f"{one}/cancel"))
    report = visitor.get(f"{one}/report")
    assert (200, 4, 3) == (report.status, len(report.body.splitlines()), report.body.count("27831******"))
    noted = audit.read(api.redis, 9)
    assert ["cancel batch", "cancel batch", "resume batch", "pause batch"] == [entry.what for entry in noted]
    assert all(re.fullmatch("key k[0-9a-f]{12} of ops", entry.who) for entry in noted)
    assert 404 == visitor.get(f"{BATCHES}/{'0' * 40}").status
    assert 422 == visitor.get(f"{BATCHES}?cursor=x").status


def test_a_viewer_sees_batches_and_changes_none(api: Api) -> None:
    """No button, and no form that works without one."""
    api.producer.send(NUMBER, "Hello", batch="news")
    one, viewer = f"{BATCHES}/{digest('', 'news')}", Visitor(api)
    viewer.log_in(api.key("audit", viewer=True))
    page = viewer.get(one)
    assert (200, True, 1) == (page.status, "Waiting 1" in words(page), page.body.count("<form"))
    assert 200 == viewer.get(f"{one}/report").status
    assert [403] * 3 == [viewer.post(f"{one}/{what}").status for what in ("pause", "resume", "cancel")]
    assert 403 == viewer.post(f"{one}/pause", csrf="x").status
    assert [] == audit.read(api.redis, 9)


def test_a_number_is_looked_up_suppressed_and_taken_off(api: Api, visitor: Visitor) -> None:
    """One entry at a time; without other evidence it names who added it."""
    visitor.get("/console/suppression")
    assert "Not suppressed." in words(visitor.post("/console/suppression", number="+27 83 123 4567"))
    response = visitor.post("/console/suppression/add", number=NUMBER, scope="tag:promo", days="2")
    assert "27831****** is suppressed (tag:promo)." in words(response)
    (entry,) = suppression.why(api.redis, NUMBER)
    assert (OPERATOR, "tag:promo", 2) == (entry.source, entry.scope, (entry.expires - entry.first) // 86_400_000)
    assert re.fullmatch("by key k[0-9a-f]{12} of ops", entry.evidence)
    off = visitor.post("/console/suppression/remove", number=NUMBER, source="operator", scope="tag:promo")
    assert "1 entry of 27831****** removed." in words(off)
    changes = audit.read(api.redis, 9)
    assert [
        "27831******: 1 entries removed (operator, tag:promo)",
        "27831****** is suppressed (tag:promo) for 2 days",
    ] == [one.detail for one in changes]
    assert all(re.fullmatch("key k[0-9a-f]{12} of ops", one.who) for one in changes)
    assert not suppression.why(api.redis, NUMBER)


def test_every_action_is_logged_with_its_key_and_without_numbers_and_texts(
    api: Api, visitor: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    """Who did what; a sender or a prefix may be a number."""
    message = api.producer.send(NUMBER, "A secret text", deliver_at=_later()).id
    caplog.set_level(logging.INFO, "threelane")
    visitor.get("/console")
    for path, fields in (
        ("hold", {"scope": f"prefix:{NUMBER}", "cause": "A secret cause"}),
        ("resume", {"scope": f"prefix:{NUMBER}"}),
        ("search", {"term": NUMBER}),
        (f"messages/{message}", {}),
        ("suppression", {"number": NUMBER}),
        ("suppression/add", {"number": NUMBER, "evidence": "A secret reason"}),
        ("suppression/remove", {"number": NUMBER, "source": "operator", "scope": "all"}),
        (f"messages/{message}/cancel", {}),
        ("logout", {}),
    ):
        visitor.post(f"/console/{path}", follow=False, **fields)
    reported: list[dict[str, Any]] = [one.fields for one in caplog.records if one.getMessage() == "console"]
    did = ["held", "resumed", "searched", "revealed", "checked", "suppressed", "lifted", "cancelled", "logout"]
    assert did == [one["did"] for one in reported]
    assert {"ops"} == {one["producer"] for one in reported}
    assert 1 == len({one["key"] for one in reported})
    everything = " ".join(f"{one.getMessage()} {one.__dict__}" for one in caplog.records)
    assert [] == [word for word in (NUMBER, "secret") if word in everything]


def test_keyboard_order_begins_with_the_content_and_every_field_has_a_label(api: Api, visitor: Visitor) -> None:
    """A skip link, the pages in their order with keys of their own, then the page; nothing jumps the order."""
    api.producer.send(NUMBER, "Hello", deliver_at=_later())
    for path in (
        "/console",
        "/console/schedules",
        BATCHES,
        "/console/suppression",
        "/console/search",
        "/console/login",
    ):
        body = visitor.get(path).body
        stops = re.findall(r'<(?:a|button|summary|select|input(?! type="hidden"))\b[^>]*>', body)
        assert 'class="skip" href="#main"' in stops[0]
        assert not re.search(r'tabindex="[1-9]', body)
        for one in re.findall(r"<(?:input(?! type=\"hidden\")|select)\b[^>]*>", body):
            name = re.search(r'id="(\w+)"', one)
            labelled = re.search(r"<label[^>]*>[^<]*" + re.escape(one), body)
            assert labelled or (name and f'for="{name[1]}"' in body), one
    keys_of_pages = re.findall(r'accesskey="(\w)"', visitor.get("/console").body)
    assert ["n", "l", "s", "t", "b", "u", "a", "o"] == keys_of_pages


def _later() -> str:
    return (datetime.now(UTC) + timedelta(hours=2)).isoformat()

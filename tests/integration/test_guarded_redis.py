"""Redis by TLS and as the users of its ACL: the main job passes, and a certificate that is not its own is refused."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import urlopen

import pytest
import redis
import trustme
from pydantic import SecretStr
from redis.exceptions import AuthenticationError
from typer.testing import CliRunner

from tests import two_accounts
from tests.chaos import ledger
from tests.guarded_redis import ACL, LISTED, MISSING, NOT_DANGEROUS, PASSWORD, GuardedRedis
from tests.integration.asking import Asking
from tests.integration.conftest import SECRET, threelane_child
from tests.integration.console import Visitor
from tests.integration.http_api import Api, Response, wide_key
from tests.integration.test_callbacks import attempted
from tests.integration.test_console import addresses
from tests.layout import FOLDERS
from tests.servers import allow_repeats, threelane, wait_until
from tests.slow import also_slow
from tests.two_accounts import BULK
from tests.watch import VOUCHER
from threelane import InvalidSettings, Producer, ProducerSettings, Unavailable
from threelane.interfaces.command.line import app as commands
from threelane.operations import account, doctor, screen
from threelane.operations.exporter import Fleet
from threelane.producer.nudge import Nudger
from threelane.runtime.settings import Settings, load
from threelane.sandbox.running import Running
from threelane.store import find
from threelane.store.account_requests import AccountResult
from threelane.store.batches import digest
from threelane.store.connect import connect
from threelane.store.find import Filter
from threelane.store.states import Status
from threelane.worker.account import hold
from threelane.worker.fetch.lanes import LaneOrder
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind
from threelane.worker.policy.legacy import LEGACY

pytestmark = [pytest.mark.skipif(bool(MISSING), reason=MISSING), pytest.mark.xdist_group("guarded_redis")]

ROOT = Path(__file__).parents[2]
DANGEROUS = {"command info", "command bgrewriteaof"}  # of any user
"""What Threelane tries and does without; each refusal is logged once, with what follows from it."""
EXIT_CODES: dict[str, int] = {}
REFUSED = "the certificate of Redis is not trusted"


@pytest.fixture(scope="module", params=[LISTED, *also_slow(NOT_DANGEROUS)], ids=["listed", "not_dangerous"])
def guarded(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[GuardedRedis]:
    """A Redis whose user may run the commands of the file, or all but dangerous and administrative ones."""
    server = GuardedRedis(tmp_path_factory.mktemp("guarded"), request.param).start()
    yield server
    server.stop()


@pytest.fixture
def environment(guarded: GuardedRedis, sandbox: Running, base_environment: dict[str, str]) -> dict[str, str]:
    """The environment of every process; the address of Redis is in a file."""
    environment = base_environment | guarded.environment() | as_user(guarded, "operator")
    del environment["THREELANE_REDIS_URL"]
    more = {
        "GATEWAY": "http",
        "WORKER_NAME": "guarded",
        "REMOTE_CONTROL": "inspect",
        "DOUBT_DELAYS_SECONDS": "0.5,1",
        "RETRY_EVERY_SECONDS": "0.5",
    }
    return environment | {f"THREELANE_{name}": value for name, value in more.items()}


def as_user(guarded: GuardedRedis, user: str) -> dict[str, str]:
    """Return what a process has in its environment, to connect as a user; the address of Redis is in a file."""
    file = guarded.folder / f"redis_url_{user}"
    file.write_text(guarded.url_of(user) + "\n")
    return {"THREELANE_REDIS_URL_FILE": str(file), "THREELANE_BROKER_URL": guarded.url_of(user)}


@pytest.fixture
def wrong_ca(tmp_path: Path) -> Path:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "wrong.pem"))
    return tmp_path / "wrong.pem"


@pytest.mark.slow
def test_the_main_job_passes_over_tls_with_users_of_minimal_rights(
    guarded: GuardedRedis, environment: dict[str, str], sandbox: Running, tmp_path: Path
) -> None:
    """Each process as its own user: send, retry, look up, receipts, cancel, suppress, health; nothing was refused."""
    processes = ("worker", "callbacks", "exporter", "webhooks")
    started = [threelane_child(name, tmp_path, environment | as_user(guarded, name)) for name in processes]
    worker, callbacks, exporter, _ = started
    client = guarded.admin()
    try:
        url = callbacks.event("callbacks")["url"].replace("<secret>", SECRET)
        sandbox.control("POST", "settings", {"callback_url": url, "callback_retry_scale": 0.002})
        worker.event("started")
        settings = ProducerSettings(
            redis_url=guarded.url_of("producer"), redis_ca_file=guarded.folder / "ca.pem", producer="shop"
        )
        with Producer(settings) as producer:
            numbers = [*(f"27999{500_000 + n}" for n in range(60)), "27999190101", "27999300101", "27999112200"]
            messages = [{"to": to, "text": "Hello", "lane": 1 + n % 3} for n, to in enumerate(numbers)]
            ids = {answer.id for answer in producer.send_many(messages)}
            ids.add(producer.send("27999500001", "Soon", delay=1).id)
            later = producer.send("27999500001", "Much later", delay=3600, tags=("promo",))
            assert None not in producer.statuses([later.id, *ids])
            producer.move(later.id, datetime.now(UTC) + timedelta(hours=2))
            assert ["cancelled"] == [answer.answer for answer in producer.cancel([later.id])]
            wait_until(lambda: not ledger.moving(client), what="all messages to end")
        for words in (
            ["status", later.id], ["health", "--worker", "guarded"], ["holds"], ["schedule", "list"], ["money"],
            ["producers", "list"], ["producers", "set", "other"],
            ["suppress", "list"], ["windows", "list"], ["top", "--once"], ["redrive", "122"],
            ["explain", later.id], ["search", "27999500001"], ["list", "--tag", "promo"], ["dead", "list"], ["prefix"],
            ["pause", "3", "--cause", "a test"], ["resume", "lane:3"], ["producers", "key", "make", "shop", "--any"],
            ["erase", "27999500001"], ["check"], ["doctor"],
        ):  # fmt: skip
            done = CliRunner().invoke(commands, words, env=environment)
            assert EXIT_CODES.get(words[0], 0) == done.exit_code, f"{words} {done.output}"
        looking = [sys.executable, "-m", "celery", "-A", "threelane.worker.app", "inspect", "ping", "-t", "5"]
        of_a_worker = os.environ | environment | as_user(guarded, "worker")
        done = subprocess.run(looking, env=of_a_worker, capture_output=True, text=True, check=False)
        assert "celery@guarded: OK" in done.stdout, f"{done.stdout} {done.stderr} {guarded.refusals()}"
        assert b"threelane_redis_up 1.0" in urlopen(exporter.event("metrics")["url"]).read()
    finally:
        for child in started:
            child.stop()
    verdict = ledger.compare(ids, client, sandbox.control("GET", "ledger"))
    assert verdict.sound, verdict
    assert (DANGEROUS if guarded.commands else set()) >= {one.partition(" ")[2] for one in guarded.refusals()}
    assert not any(PASSWORD in child.log.read_text() for child in started)


def test_users_that_show_accounts_may_read_each_of_them(guarded: GuardedRedis) -> None:
    """Keys of an account have other names; a pattern that lacks one shows nothing of all other accounts either."""
    admin = guarded.admin()
    admin.flushdb()
    two_accounts.publish(admin)
    two_accounts.hold_account(admin, BULK)
    now = int(admin.time()[0]) * 1000
    try:
        with redis.Redis.from_url(guarded.plain_url_of("exporter")) as exporter:
            held = [
                sample for one in Fleet(exporter).collect() if one.name == "threelane_on_hold" for sample in one.samples
            ]
            assert ["bulk"] == [sample.labels["account"] for sample in held]
        with redis.Redis.from_url(guarded.plain_url_of("api")) as api:
            assert ["bulk/account"] == [*screen.read(api, now).holds]
            assert hold.put(api, "lane:3", "a test", now, space=BULK) is None
            assert hold.resume(api, "lane:3", now, BULK)
            assert [] == [*find.search(api, Filter(status="queued"))]
        with redis.Redis.from_url(guarded.plain_url_of("operator")) as operator:
            findings = [*doctor.diagnose(operator, now, LEGACY)]
            assert "bulk: hold" in {one.what for one in findings}
            assert [] == [one.detail for one in findings if "not examined" in one.detail]
        with redis.Redis.from_url(guarded.plain_url_of("reader")) as reader:
            assert [] == [*find.search(reader, Filter(status="scheduled"))]
        assert (DANGEROUS if guarded.commands else set()) >= {one.partition(" ")[2] for one in guarded.refusals()}
    finally:
        admin.flushdb()
        allow_repeats(admin)


@pytest.mark.slow
def test_messages_outlive_a_restart_of_redis(guarded: GuardedRedis) -> None:
    """It replays its file as the user default, whose permissions count at each EXEC; without them, all is dropped."""
    settings = ProducerSettings(redis_url=guarded.url_of("producer"), redis_ca_file=guarded.folder / "ca.pem")
    with Producer(settings) as producer:
        ids = [producer.send("27999500001", "Hello").id for _ in range(5)]
        guarded.server.process.terminate()
        guarded.server.process.wait()
        guarded.start()

        assert [Status.QUEUED] * 5 == [one.status for one in producer.statuses(ids) if one]
    with pytest.raises(AuthenticationError):
        redis.Redis(port=guarded.server.port, password="").ping()
    with pytest.raises(AuthenticationError):
        redis.Redis(port=guarded.server.port).ping()


def test_every_endpoint_and_page_of_the_api_works_as_its_user(guarded: GuardedRedis, sandbox: Running) -> None:
    """Each that is ever added, too: they are read from the application; the main job opens few of them."""
    if guarded.commands:
        pytest.skip("one kind of user is enough")
    client = guarded.admin()
    client.acl_log_reset()
    api = Api(guarded.plain_url_of("api")).start()
    asking = Asking(guarded.plain_url_of("worker"), client, sandbox.url)
    try:
        every = {"operator": True, "texts": True, "evidence": True, "suppression": True}
        key = wide_key(client, "shop", **every).token
        number = "27831234567"
        as_tester = f"redis://tester:tester@127.0.0.1:{guarded.server.port}/0"
        sent = api.request("POST", "/v1/messages", {"to": number, "text": "x", "lane": 3, "batch": "b"}, key).body["id"]
        attempted(as_tester, [sent], AttemptOutcome(OutcomeKind.REFUSED, code="113", text="Too many parts"))
        held = api.request("POST", "/v1/holds", {"scope": "lane:3", "cause": "x"}, key)
        api.request("POST", "/v1/suppressions", {"to": number, "number": number}, key)
        answers = [held, *_every_request(api, key, sent), *_every_page(api, key, sent)]
        by_operator = connect(Settings(redis_url=guarded.plain_url_of("operator")))
        paid = account.redeem(account.by_worker(by_operator), "http", SecretStr(VOUCHER), by_operator, "tests")
        by_operator.close()
    finally:
        asking.stop()
        api.stop()
    assert AccountResult.ANSWERED == paid.result
    assert [] == guarded.refusals()
    assert [] == [one.body for one in answers if one.status >= 500]
    assert 20 < sum(one.status < 400 for one in answers), [one.status for one in answers]


def _every_request(api: Api, key: str, message: str) -> Iterator[Response]:
    """Send each request of the description, with its example as the body."""
    for path, operations in api.request("GET", "/openapi.json").body["paths"].items():
        place = path.replace("{scope}", "lane:3").replace("{batch}", "b").replace("{number}", "27831234567")
        place = re.sub(r"\{\w+\}", message, place)
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            yield api.request(method.upper(), place, content.get("example"), key)


def _every_page(api: Api, key: str, message: str) -> Iterator[Response]:
    """Log in to the console, open each page and send each form."""
    visitor = Visitor(api)
    fields = {"number": "27831234567", "scope": "all", "source": "operator", "term": message, "batch": "b"}
    fields |= {"owner": "producer", "code": "113", "before": "1", "cause": "x", "voucher": "1"}
    yield visitor.log_in("wrong")
    yield visitor.log_in(key)
    for method, path in addresses():  # GET first
        place = path.replace("{message_id:message}", message).replace("{digest:digest}", digest("shop", "b"))
        place += "?owner=producer" if path.endswith("pile") else ""
        if path != "/console/logout":
            yield visitor.get(place) if method == "GET" else visitor.post(place, follow=False, **fields)
    yield visitor.post("/console/logout")


def test_the_commands_of_scripts_and_rare_operations_are_allowed(guarded: GuardedRedis) -> None:
    """A hold without credit, or a registered producer, comes long after the first message."""
    lua = [file.read_text() for folder in FOLDERS for file in (ROOT / folder).rglob("*.lua")]
    called = {name for text in lua for name in re.findall(r"redis\.call\('(\w+)'", text)}
    seldom = {"WATCH", "UNWATCH", "ZREVRANGE", "HSCAN", "ZSCAN", "XAUTOCLAIM", "XTRIM"}
    allowed = set(re.findall(r" \+(\w+)", ACL.read_text()))
    assert {"HGETALL"} <= called
    assert set() == {name.lower() for name in called | seldom} - allowed
    assert f" ~{LaneOrder.EMPTY} " in ACL.read_text(), "a crowded worker waits there, and would end"


def test_a_command_the_user_may_not_run_is_refused_by_the_acl(guarded: GuardedRedis) -> None:
    """Otherwise the test above would show nothing: not other keys, not other commands, not without the password."""
    with redis.Redis.from_url(guarded.plain_url_of("producer")) as user:
        for forbidden in (["FLUSHALL"], ["KEYS", "*"], ["CONFIG", "GET", "*"], ["GET", "session:1"], ["ACL", "LIST"]):
            with pytest.raises(redis.exceptions.NoPermissionError):
                user.execute_command(*forbidden)
    with redis.Redis(port=guarded.server.port) as nobody, pytest.raises(redis.exceptions.AuthenticationError):
        nobody.ping()
    guarded.admin().acl_log_reset()


def test_a_certificate_of_another_ca_is_refused_by_check_by_send_and_by_a_worker(
    guarded: GuardedRedis, environment: dict[str, str], wrong_ca: Path, tmp_path: Path
) -> None:
    """Each names the refusal and the variable of the CA; nothing is sent to the other server."""
    wrong = environment | {"THREELANE_REDIS_CA_FILE": str(wrong_ca)}
    checked = threelane("check", "--json", environment=wrong)
    errors = [one["told"] for one in json.loads(checked.stdout) if one["grade"] == "error"]
    assert 2 == checked.returncode
    assert [True, True] == [REFUSED in one for one in errors], errors
    sent = threelane("send", "27999500001", "Hello", environment=wrong)
    assert 3 == sent.returncode
    assert REFUSED in sent.stderr
    assert "THREELANE_REDIS_CA_FILE" in sent.stderr
    worker = threelane_child("worker", tmp_path, wrong)
    worker.process.wait(30)
    log = worker.log.read_text()
    assert 2 == worker.process.returncode, log
    assert REFUSED in log
    assert "Traceback" not in log
    assert [] == [one for one in (checked.stdout, sent.stderr, log) if PASSWORD in one]


def test_the_broker_s_certificate_is_checked_too(
    guarded: GuardedRedis, wrong_ca: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """kombu's own default for rediss:// is to check nothing."""
    monkeypatch.delenv("THREELANE_BROKER_URL", raising=False)  # of a broker that is under test
    for ca, published in ((guarded.folder / "ca.pem", True), (wrong_ca, False)):
        nudger = Nudger(Settings(redis_url=guarded.url, redis_ca_file=ca))
        assert published == nudger.publish(3, ["0" * 32])
        nudger.close()
    guarded.admin().delete("sms.3")


def test_a_certificate_for_another_name_is_refused(guarded: GuardedRedis) -> None:
    """The right CA may have signed it for somebody else."""
    elsewhere = guarded.url.replace("localhost", "127.0.0.1")
    settings = ProducerSettings(redis_url=elsewhere, redis_ca_file=guarded.folder / "ca.pem")
    with Producer(settings) as producer, pytest.raises(Unavailable, match="is for another name"):
        producer.send("27999500001", "Hello")


def test_without_a_ca_file_the_system_s_cas_are_used(guarded: GuardedRedis) -> None:
    """And they know nothing of ours."""
    with Producer(ProducerSettings(redis_url=guarded.url)) as producer, pytest.raises(Unavailable, match=REFUSED):
        producer.send("27999500001", "Hello")


def test_redis_may_require_our_certificate(guarded: GuardedRedis, tmp_path: Path) -> None:
    """tls-auth-clients yes: without one the error has the reason, with one it works."""
    guarded.admin().config_set("tls-auth-clients", "yes")
    mine = guarded.ca.issue_cert("worker")
    mine.private_key_pem.write_to_path(str(tmp_path / "my.key"))
    mine.cert_chain_pems[0].write_to_path(str(tmp_path / "my.pem"))
    settings = {"redis_url": guarded.url, "redis_ca_file": guarded.folder / "ca.pem"}
    try:
        with (
            Producer(ProducerSettings(**settings)) as producer,
            pytest.raises(Unavailable, match="THREELANE_REDIS_CERTIFICATE_FILE"),
        ):
            producer.status("0f3c")
        mine_too = {"redis_certificate_file": tmp_path / "my.pem", "redis_key_file": tmp_path / "my.key"}
        with Producer(ProducerSettings(**settings, **mine_too)) as producer:
            assert producer.status("0f3c") is None
    finally:
        guarded.admin().config_set("tls-auth-clients", "optional")


@pytest.mark.parametrize("option", ["ssl_cert_reqs=none", "ssl_check_hostname=false", "ssl_ca_certs=/ca.pem"])
@pytest.mark.parametrize("variable", ["redis_url", "broker_url"])
def test_the_check_cannot_be_left_out_by_the_address(variable: str, option: str) -> None:
    """TLS that checks nothing protects nothing."""
    with pytest.raises(InvalidSettings, match=f"THREELANE_{variable.upper()}: leave ssl_"):
        load(Settings, **{variable: f"rediss://localhost:6379/0?{option}"})

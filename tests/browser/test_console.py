"""The console in a real Chromium: keyboard, phone, dark mode, hostile texts, live updates."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import redis
from selenium.webdriver import ActionChains, Keys

from tests.browser.chromium import DESKTOP, PHONE, Browser, browsing, missing
from tests.integration.http_api import Api, now
from tests.integration.test_callbacks import attempted
from tests.servers import RedisServer, wait_until
from threelane.store import keys, suppression
from threelane.store.batches import digest
from threelane.store.suppression import STOP, Entry
from threelane.worker.account import hold
from threelane.worker.gateway.outcome import AttemptOutcome, OutcomeKind

pytestmark = [pytest.mark.browser, pytest.mark.skipif(bool(missing()), reason=missing() or "-")]
NUMBER = "27831234567"
EVIL = "<script>document.title='run'</script><img src=x onerror=\"document.title='run'\">"
CONTRAST = """
const rgb = c => { const m = c.match(/[\\d.]+/g).map(Number); return m.length < 4 ? [...m, 1] : m; };
const light = c => c.slice(0, 3).map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
const behind = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor);
  if (c[3] > .99) return c; } return rgb(getComputedStyle(document.documentElement).backgroundColor); };
const faint = [];
for (const e of document.querySelectorAll('body *')) {
  const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  if (!own || !e.checkVisibility() || e.disabled || e.closest('.far, .skip')) continue;
  const a = light(rgb(getComputedStyle(e).color)), b = light(behind(e));
  const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  if (ratio < 4.5) faint.push(ratio.toFixed(2) + ' ' + e.textContent.trim().slice(0, 30));
}
return faint;
"""


@pytest.fixture(scope="module")
def running(redis_server: RedisServer) -> Iterator[Api]:
    made = Api(redis_server.url).start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("chromium")) as made:
        yield made


@pytest.fixture
def api(running: Api, client: redis.Redis) -> Api:
    """The API on an empty Redis."""
    assert client.ping()
    return running


@pytest.fixture
def browser(started: Browser, api: Api) -> Browser:
    """A browser in which an operator has logged in."""
    started.size(*DESKTOP)
    started.dark(False)
    started.log_in(api.url, api.key("ops", operator=True, texts=True, evidence=True))
    started.driver.get_log("browser")  # discard the log of earlier tests
    return started


@pytest.fixture
def message(api: Api, redis_server: RedisServer) -> str:
    """Content on every page; returns the id of a waiting message."""
    at = now(api.redis)
    refused = [
        api.producer.send(NUMBER, "Hello", batch="a-batch-with-quite-a-long-name-of-its-own").id for _ in range(3)
    ]
    attempted(redis_server.url, refused, AttemptOutcome(OutcomeKind.REFUSED, code="113", text="Too many parts"))
    api.redis.zadd(keys.DEAD, dict.fromkeys(refused, at - 5_000))
    hold.put(api.redis, "lane:3", "the newsletter has a wrong link " * 4, at)
    suppression.add(api.redis, [(NUMBER, Entry(source=STOP, evidence="STOP " + EVIL, first=at, last=at))])
    later = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    return api.producer.send("27831234568", EVIL, lane=2, deliver_at=later, tags=["promo"], batch="news").id


def test_everything_works_by_keyboard(browser: Browser, api: Api) -> None:
    """From the login to a hold: the skip link first, then the pages, each with a visible focus."""
    driver = browser.driver
    driver.delete_all_cookies()
    driver.get(f"{api.url}/console/login")
    ActionChains(driver).send_keys(api.key("ops", operator=True), Keys.ENTER).perform()  # the field has the focus
    wait_until(lambda: "Log out" in browser.text, what="the first page")

    labels = []
    for _ in range(10):
        ActionChains(driver).send_keys(Keys.TAB).perform()
        labels.append(browser.js("return document.activeElement.textContent.trim()"))
        assert "solid" == browser.js("return getComputedStyle(document.activeElement).outlineStyle")
    pages = ["Now", "Dead letters", "Search", "Schedules", "Batches", "Suppression", "Account"]
    assert ["Skip to content", *pages, "Log out", "Pause… lane:1"] == labels

    ActionChains(driver).send_keys(Keys.ENTER, Keys.TAB, "wrong link", Keys.TAB, "30", Keys.ENTER).perform()
    wait_until(lambda: "lane:1 is on hold." in browser.text, what="the hold")
    assert "wrong link" == hold.holds(api.redis, now(api.redis))["lane:1"].cause

    for key, title in zip("lstbuan", [*pages[1:], pages[0]], strict=True):
        ActionChains(driver).key_down(Keys.ALT).send_keys(key).key_up(Keys.ALT).perform()
        wait_until(lambda title=title: browser.heading == title, what=title)


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize("is_dark", [False, True], ids=["light", "dark"])
def test_every_page_is_readable(browser: Browser, api: Api, message: str, size: tuple[int, int], is_dark: bool) -> None:
    """Nothing wider than the screen with all forms open; contrast of at least 4.5; no violation of the CSP."""
    browser.size(*size)
    browser.dark(is_dark)
    browser.driver.get(f"{api.url}/console/suppression")
    browser.one("input[name=number]").send_keys(NUMBER)
    browser.press("Look up", "main")
    browser.driver.get(f"{api.url}/console/search")
    browser.one("input[name=term]").send_keys("news")
    browser.press("Search", "main")
    pages = (
        "",
        "/dead",
        "/dead/pile?code=113",
        "/search",
        f"/messages/{message}",
        "/schedules?tag=promo",
        "/batches",
        f"/batches/{digest('', 'news')}",
        "/suppression",
    )
    for page in pages:
        browser.driver.get(f"{api.url}/console{page}")
        browser.js("document.querySelectorAll('details').forEach(one => one.open = true)")
        assert ([], []) == (browser.overflow(), browser.js(CONTRAST)), page
        assert browser.js("return document.documentElement.scrollWidth") <= size[0], page
    assert [] == [one["message"] for one in browser.driver.get_log("browser")]


def test_hostile_texts_do_nothing(browser: Browser, api: Api, message: str) -> None:
    """They are shown literally."""
    browser.driver.get(f"{api.url}/console/messages/{message}")
    assert EVIL not in browser.text
    browser.press("Show the number and the text")
    assert (EVIL, "Message") == (browser.one("p.text").text, browser.driver.title.split()[0])
    assert "27831234568" in browser.text
    browser.driver.get(f"{api.url}/console/suppression")
    browser.one("input[name=number]").send_keys(NUMBER)
    browser.press("Look up", "main")
    assert (True, []) == (EVIL in browser.text, browser.all("img"))
    assert browser.driver.title.startswith("Suppression")


def test_counts_are_refreshed_without_losing_typed_text(browser: Browser, api: Api) -> None:
    """Only numbers are updated; an open form and its focus stay."""
    browser.press("Pause…", "tbody tr:nth-child(2)")
    field = browser.one("tbody tr:nth-child(2) input[name=cause]")
    field.send_keys("half a sen")
    api.producer.send_many({"to": f"2783123{4000 + n}", "text": "Hello", "lane": 2} for n in range(7))
    wait_until(lambda: browser.one("[data-live=waiting-2]").text == "7", what="the count of waiting messages")
    field.send_keys("tence")
    assert "half a sentence" == field.get_attribute("value")

    hold.put(api.redis, "lane:1", "by somebody else", now(api.redis))
    wait_until(lambda: "Holds have changed" in browser.text, what="the notice")
    for name in api.redis.scan_iter("tl:console:*"):
        api.redis.delete(name)
    wait_until(lambda: "no longer refreshed" in browser.text, what="the end of the login")


def test_every_action_works_from_its_button(browser: Browser, api: Api, message: str) -> None:
    """Each needs a second press, against mistakes."""
    browser.driver.get(f"{api.url}/console")
    browser.press("Resume", "section[aria-labelledby=holds]")
    assert "lane:3 is resumed." in browser.text

    browser.press("Dead letters")
    browser.press("Redrive…")
    browser.press("Redrive 3 messages")
    assert "3 redriven." in browser.text

    browser.press("Schedules")
    browser.press("Cancel…")
    browser.press("Cancel message")
    assert "It will not be sent." in browser.text
    assert 0 == api.redis.exists(*keys.DUE.values())

    browser.press("Suppression")
    browser.one("form[action$=add] input[name=number]").send_keys("+27 83 123 4569")
    browser.press("Suppress number")
    assert "27831****** is suppressed (all)." in browser.text
    browser.press("Remove…")
    browser.press("Remove entry")
    assert "1 entry of 27831****** removed." in browser.text

    browser.press("Log out")
    assert "Operator or viewer key" in browser.text
    browser.driver.back()
    browser.driver.refresh()
    assert "Operator or viewer key" in browser.text  # the browser cached nothing

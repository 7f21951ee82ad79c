"""Chromium for tests: Debian's package, headless, with an empty profile."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from tests.servers import wait_until

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage", "--hide-scrollbars",
)  # fmt: skip
DESKTOP, PHONE = (1180, 960), (390, 844)


def missing() -> str:
    """Return what is not installed and how to install it; empty when nothing is missing."""
    absent = [name for name in ("chromium", "chromedriver") if not shutil.which(name)]
    return f"no {' and no '.join(absent)}: apt-get install chromium chromium-driver" if absent else ""


class Browser:
    """One browser; ``size`` sets the viewport, in CSS pixels."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver
        self.size(*DESKTOP)

    def size(self, width: int, height: int) -> None:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)

    def dark(self, is_dark: bool) -> None:
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})

    def log_in(self, url: str, key: str) -> None:
        self.driver.get(f"{url}/console/login")
        self.one("#key").send_keys(key)
        self.press("Log in")

    def one(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector: str) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def press(self, label: str, within: str = "body") -> None:
        """Press the first visible button, summary or link with this label, and wait for the next page."""
        container, page = self.one(within), self.one("html")
        path = f".//*[self::button or self::summary or self::a][starts-with(normalize-space(.), '{label}')]"
        found = next(one for one in container.find_elements(By.XPATH, path) if one.is_displayed())
        follows = found.tag_name != "summary"
        found.click()
        if follows:
            wait_until(lambda: self._left(page), what=f"the page after {label!r}")

    @property
    def text(self) -> str:
        """The visible text, also while another page loads."""
        return str(self.js("return document.body ? document.body.innerText : ''"))

    @property
    def heading(self) -> str:
        return str(self.js("return document.querySelector('h1')?.innerText || ''"))

    def js(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def overflow(self) -> list[str]:
        """Return the elements that overflow the screen to the right."""
        return self.js(
            "const wide = document.documentElement.clientWidth;"
            "return [...document.querySelectorAll('body *')].filter(e => e.checkVisibility()"
            " && e.getBoundingClientRect().right > wide + 1"
            " && !e.closest('.far') && getComputedStyle(e).position !== 'absolute')"
            ".map(e => e.tagName + ' ' + e.textContent.trim().slice(0, 40))"
        )

    def shoot(self, file: Path, whole: bool = True) -> None:
        screenshot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": whole})
        file.write_bytes(base64.b64decode(screenshot["data"]))

    def _left(self, page: WebElement) -> bool:
        try:
            page.is_enabled()
        except Exception:  # the old page is gone
            return self.js("return document.readyState") == "complete"
        return False


@contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """Start a browser with its profile in ``folder``, and quit it at the end."""
    options = ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for flag in (*FLAGS, f"--user-data-dir={folder}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(str(shutil.which("chromedriver"))))
    try:
        yield Browser(driver)
    finally:
        driver.quit()

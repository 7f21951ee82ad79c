"""Screenshots: regenerates the images of docs/console.md: make screenshots."""

from __future__ import annotations

import struct
import sys
import tempfile
import time
import zlib
from pathlib import Path

from tests.browser.chromium import DESKTOP, PHONE, Browser, browsing, missing
from tests.browser.scene import ConsoleScene
from threelane.runtime import logs

IMAGES = Path(__file__).parents[2] / "docs/images"
SHOWN = ("now", "now-phone", "now-dark", "redrive", "message", "suppression-phone")
MOST_OCTETS = 150_000


def shoot(browser: Browser, scene: ConsoleScene, folder: Path) -> None:
    """Take all screenshots."""
    browser.log_in(scene.api.url, scene.key)
    for _ in range(5):  # a rate needs two samples
        scene.codes(60)
        time.sleep(1)
    url = f"{scene.api.url}/console"
    pages = {
        "now": url,
        "dead": f"{url}/dead",
        "redrive": f"{url}/dead/pile?owner=recipient&code=128",
        "message": f"{url}/messages/{scene.retried}",
        "schedules": f"{url}/schedules",
    }
    browser.driver.get(f"{url}/search")
    browser.one("input[name=term]").send_keys("newsletter-6")
    browser.press("Search", "main")
    _sizes(browser, folder, "search")
    browser.driver.get(f"{url}/suppression")
    browser.one("input[name=number]").send_keys("+27 83 123 4567")
    browser.press("Look up", "main")
    _sizes(browser, folder, "suppression")
    for name, address in pages.items():
        browser.driver.get(address)
        _sizes(browser, folder, name)
    browser.dark(True)
    browser.driver.get(url)
    browser.shoot(folder / "console-now-dark.png", whole=False)


def _sizes(browser: Browser, folder: Path, name: str) -> None:
    for suffix, size in (("", DESKTOP), ("-phone", PHONE)):
        browser.size(*size)
        if over := browser.overflow():
            print(f"{name}{suffix}: wider than the screen: {over[:5]}", file=sys.stderr)
        browser.shoot(folder / f"console-{name}{suffix}.png", whole=size == PHONE)
    browser.size(*DESKTOP)


def compressed(png: bytes) -> bytes:
    """Return the same image at the highest compression; Chromium compresses for speed."""
    chunks, at = [], 8
    while at < len(png):
        length, kind = struct.unpack(">I4s", png[at : at + 8])
        chunks.append((kind, png[at + 8 : at + 8 + length]))
        at += 12 + length
    pixels = zlib.decompress(b"".join(body for kind, body in chunks if kind == b"IDAT"))
    whole = [(b"IDAT", zlib.compress(pixels, 9)), (b"IEND", b"")]
    kept = [chunk for chunk in chunks if chunk[0] == b"IHDR"] + whole
    packed = (struct.pack(">I", len(b)) + kind + b + struct.pack(">I", zlib.crc32(kind + b)) for kind, b in kept)
    return png[:8] + b"".join(packed)


def main() -> int:
    """Write the images of the documentation to docs/images, or all screenshots to the given folder."""
    if absent := missing():
        print(absent, file=sys.stderr)
        return 2
    logs.configure("ERROR")
    everything = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory(prefix="threelane-shots-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        shots = everything or folder / "shots"
        for one in (shots, folder / "stack"):
            one.mkdir(parents=True, exist_ok=True)
        with ConsoleScene(folder / "stack") as scene, browsing(folder / "browser") as browser:
            shoot(browser, scene, shots)
        for name in () if everything else SHOWN:
            packed = compressed((shots / f"console-{name}.png").read_bytes())
            assert len(packed) <= MOST_OCTETS, f"{name}: {len(packed):,} octets"
            (IMAGES / f"console-{name}.png").write_bytes(packed)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

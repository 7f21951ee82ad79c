// Refreshes the numbers of the first page; everything else works without it. Only text and class names are copied from
// the response into existing elements, never HTML, so focus and open forms are kept.
"use strict";
(function () {
  const EVERY_MS = 3000;
  const news = document.getElementById("news");
  const shape = () => document.getElementById("live").dataset.shape;

  function announce(text) {
    news.textContent = text;
    news.hidden = false;
  }

  async function refresh() {
    if (document.hidden) return true;
    const response = await fetch("/console" + window.location.search, { credentials: "same-origin", headers: { "X-Threelane-Look": "1" } });
    const fresh = new DOMParser().parseFromString(await response.text(), "text/html");
    const live = fresh.getElementById("live");
    if (!live) {
      announce("This page is no longer refreshed: reload it.");
      return false;
    }
    news.hidden = true;
    if (live.dataset.shape !== shape()) announce("Holds have changed: reload the page.");
    for (const element of document.querySelectorAll("[data-live]")) {
      const found = fresh.querySelector('[data-live="' + CSS.escape(element.dataset.live) + '"]');
      if (!found || found.textContent === element.textContent) continue;
      element.textContent = found.textContent;
      element.className = found.className;
    }
    return true;
  }

  async function keepRefreshing() {
    let running = true;
    try {
      running = await refresh();
    } catch (failed) {
      announce("The last refresh failed; trying again.");
    }
    if (running) setTimeout(keepRefreshing, EVERY_MS);
  }

  setTimeout(keepRefreshing, EVERY_MS);
})();

// Keeps the numbers of the first page fresh; all else works without it. Nothing that came is ever read as HTML here:
// only texts are taken over, into places that the page has already, so that no focus and no open form is lost.
"use strict";
(function () {
  const EVERY_MS = 3000;
  const news = document.getElementById("news");
  const shape = () => document.getElementById("live").dataset.shape;

  function tell(words) {
    news.textContent = words;
    news.hidden = false;
  }

  async function look() {
    if (document.hidden) return true;
    const answer = await fetch("/console", { credentials: "same-origin", headers: { "X-Threelane-Look": "1" } });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const live = fresh.getElementById("live");
    if (!live) {
      tell("This page is not refreshed any more: load it anew.");
      return false;
    }
    news.hidden = true;
    if (live.dataset.shape !== shape()) tell("Holds have changed: load the page anew.");
    for (const place of document.querySelectorAll("[data-live]")) {
      const found = fresh.querySelector('[data-live="' + CSS.escape(place.dataset.live) + '"]');
      if (!found || found.textContent === place.textContent) continue;
      place.textContent = found.textContent;
      place.className = found.className;
    }
    return true;
  }

  async function keepLooking() {
    let goesOn = true;
    try {
      goesOn = await look();
    } catch (failed) {
      tell("The last look failed; trying again.");
    }
    if (goesOn) setTimeout(keepLooking, EVERY_MS);
  }

  setTimeout(keepLooking, EVERY_MS);
})();

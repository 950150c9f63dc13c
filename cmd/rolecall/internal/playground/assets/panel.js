// Shows what happens as it happens. The panel works without it, by reloading.
"use strict";
(async () => {
  const pause = (ms) => new Promise((done) => { setTimeout(done, ms); });
  for (let path = "/panel"; ; await pause(document.hidden ? 1000 : 100)) {
    if (document.hidden) continue;
    try {
      const next = new DOMParser().parseFromString(await (await fetch(path)).text(), "text/html");
      for (const part of document.querySelectorAll("[data-live]")) {
        const now = next.getElementById(part.id);
        if (!part.querySelector("input:focus") && part.innerHTML !== now.innerHTML) part.replaceChildren(...now.childNodes);
      }
      path = next.querySelector("[data-waiting]") ? "/panel" : "/panel?next=1"; // which waits for something to happen
    } catch { await pause(1000); }
  }
})();

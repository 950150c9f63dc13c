// Replaces the live parts of a page when something changed. Pages work without it.
"use strict";
(() => {
  if (!document.querySelector("main [data-live]")) return;
  const away = document.getElementById("away");
  let source = null, reading = false, again = false, opened = false, since = null;

  const gone = (text) => {
    since = since || new Date();
    away.textContent = text + " This page shows how things were at " + since.toLocaleTimeString() + ".";
    away.hidden = false;
  };
  const back = () => { since = null; away.hidden = true; };

  // busy says that the operator is using a part of the page, which must stay as it is.
  const busy = (part) => {
    const selected = document.getSelection();
    const using = part.contains(document.activeElement) && document.activeElement.matches("input, select, textarea");
    return using || (selected && !selected.isCollapsed && part.contains(selected.anchorNode));
  };

  const replace = (text) => {
    const next = new DOMParser().parseFromString(text, "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      const now = next.getElementById(part.id);
      if (!now || busy(part) || part.innerHTML === now.innerHTML) continue;
      const focused = part.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
      const open = [...part.querySelectorAll("details[id][open]")].map((d) => d.id);
      part.replaceChildren(...now.childNodes);
      for (const id of open) document.getElementById(id)?.setAttribute("open", "");
      if (focused) part.querySelector(`a[href="${focused.replaceAll("\"", "\\\"")}"]`)?.focus({ preventScroll: true });
    }
  };

  const refresh = async () => {
    if (reading) { again = true; return; }
    reading = true;
    try {
      const answer = await fetch(location.href, { headers: { "X-Rolecall-Live": "1" }, redirect: "manual" });
      if (answer.status === 401 || answer.type === "opaqueredirect") { location.reload(); return; }
      if (answer.ok) { replace(await answer.text()); back(); }
      else if (answer.status === 503) gone("The database can't be read now.");
    } catch { gone("Rolecall can't be reached."); }
    reading = false;
    if (again) { again = false; refresh(); }
  };

  const watch = () => {
    const mine = source = new EventSource("/events");
    source.addEventListener("open", () => { if (opened) refresh(); opened = true; });
    source.addEventListener("changed", refresh);
    source.addEventListener("away", () => gone("The database can't be reached."));
    source.onerror = () => {
      if (mine.readyState !== EventSource.CLOSED) return;
      setTimeout(() => { if (source === mine) watch(); }, 15000); // unless the page was hidden meanwhile
      refresh();
    };
  };
  // A hidden page holds no connection: a browser has few for each host.
  const visible = () => {
    if (document.hidden) { source?.close(); source = null; }
    else if (!source) watch();
  };
  document.addEventListener("visibilitychange", visible);
  visible();
})();

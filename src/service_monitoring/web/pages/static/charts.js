// Charts: reading values under a crosshair, and selecting a range by dragging or by keys. Listens to the whole page, so
// that charts which are shown anew need nothing done to them.

const shown = new WeakMap();

function chartOf(event) {
  return event.target instanceof Element ? event.target.closest(".chart[data-points]") : null;
}

function state(chart) {
  if (!shown.has(chart)) {
    const from = Date.parse(chart.dataset.from), to = Date.parse(chart.dataset.to);
    shown.set(chart, { from, to, points: JSON.parse(chart.dataset.points), at: null, anchor: null });
  }
  return shown.get(chart);
}

function part(chart, look) {
  let found = chart.querySelector(`:scope > .${look}`);
  if (!found) {
    found = document.createElement("div");
    found.className = look;
    if (look === "read") found.setAttribute("role", "status");
    chart.append(found);
  }
  found.hidden = false;
  return found;
}

function share(chart, at) {
  const { from, to } = state(chart);
  return Math.min(Math.max((at - from) / (to - from), 0), 1);
}

function instantAt(chart, x) {
  const { from, to } = state(chart), box = chart.getBoundingClientRect();
  return from + Math.min(Math.max((x - box.left) / box.width, 0), 1) * (to - from);
}

function nearest(points, at) {
  let low = 0, high = points.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (points[middle][0] < at) low = middle + 1; else high = middle;
  }
  return low > 0 && at - points[low - 1][0] < points[low][0] - at ? low - 1 : low;
}

function worded(value, metric) {
  if (metric.endsWith("_seconds")) {
    return Math.abs(value) >= 1 ? `${Number(value.toPrecision(4))} s` : `${Number((value * 1000).toPrecision(3))} ms`;
  }
  return String(Number(value.toPrecision(4)));
}

function read(chart, at) {
  const { from, to, points } = state(chart);
  if (!points.length) return;
  const place = nearest(points, at), [when, least, mean, greatest] = points[place], metric = chart.dataset.metric;
  const box = part(chart, "read"), cross = part(chart, "cross"), left = share(chart, when);
  if (Math.abs(when - at) > (to - from) / 12) {
    box.textContent = `${new Date(at).toISOString().slice(0, 19).replace("T", " ")} UTC: nothing measured`;
  } else {
    box.replaceChildren(
      line(`${new Date(when).toISOString().slice(0, 19).replace("T", " ")} UTC`), line(new Date(when).toLocaleString()),
      line(`mean ${worded(mean, metric)}`), line(`${worded(least, metric)} to ${worded(greatest, metric)}`),
    );
  }
  cross.style.setProperty("left", `${100 * share(chart, at)}%`);
  const width = chart.clientWidth;
  box.style.setProperty("left", `${Math.min(Math.max(left * width + 10, 0), Math.max(width - box.offsetWidth, 0))}px`);
}

function line(text) {
  const made = document.createElement("div");
  made.textContent = text;
  return made;
}

function choose(chart) {
  const { anchor, at } = state(chart);
  if (anchor === null) return;
  const first = share(chart, Math.min(anchor, at)), last = share(chart, Math.max(anchor, at)), chosen = part(chart, "chosen");
  chosen.style.setProperty("left", `${100 * first}%`);
  chosen.style.setProperty("width", `${100 * (last - first)}%`);
}

function clear(chart) {
  state(chart).anchor = null;
  for (const look of ["read", "cross", "chosen"]) {
    const found = chart.querySelector(`:scope > .${look}`);
    if (found) found.hidden = true;
  }
}

function zoom(chart) {
  const { anchor, at, from, to } = state(chart);
  if (anchor === null || at === null || Math.abs(at - anchor) < Math.max((to - from) / 200, 1000)) return clear(chart);
  const url = new URL(location.href), text = (ms) => new Date(ms).toISOString().slice(0, 19) + "Z";
  url.searchParams.delete("range");
  url.searchParams.set("from", text(Math.min(anchor, at)));
  url.searchParams.set("to", text(Math.max(anchor, at) + 999));
  url.hash = "values";
  location.assign(url);
}

let dragged = null;

addEventListener("pointerdown", (event) => {
  const chart = chartOf(event);
  if (!chart || event.button !== 0) return;
  dragged = chart;
  state(chart).anchor = state(chart).at = instantAt(chart, event.clientX);
  if (event.pointerType === "mouse") event.preventDefault();
  chart.focus({ preventScroll: true });
});

addEventListener("pointermove", (event) => {
  const chart = dragged ?? chartOf(event);
  if (!chart) return;
  state(chart).at = instantAt(chart, event.clientX);
  read(chart, state(chart).at);
  if (dragged) choose(chart);
});

addEventListener("pointerup", () => {
  if (!dragged) return;
  const chart = dragged;
  dragged = null;
  zoom(chart);
});

addEventListener("pointercancel", () => {
  if (dragged) clear(dragged);
  dragged = null;
});

addEventListener("pointerout", (event) => {
  const chart = chartOf(event);
  if (chart && !dragged && !chart.contains(event.relatedTarget) && document.activeElement !== chart) clear(chart);
});

addEventListener("focusout", (event) => {
  const chart = chartOf(event);
  if (chart && !dragged) clear(chart);
});

addEventListener("keydown", (event) => {
  const chart = chartOf(event);
  if (!chart || event.ctrlKey || event.metaKey || event.altKey) return;
  const its = state(chart), { from, to, points } = its;
  if (event.key === "Escape") return clear(chart);
  if (event.key === "Enter") return zoom(chart);
  const by = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20 }[event.key];
  const end = { Home: from, End: to }[event.key];
  if (by === undefined && end === undefined) return;
  event.preventDefault();
  const begun = its.at ?? (points.length ? points[points.length - 1][0] : to);
  if (event.shiftKey && its.anchor === null) its.anchor = begun;
  if (!event.shiftKey) clear(chart);
  its.at = end ?? Math.min(Math.max(begun + (by * (to - from)) / 100, from), to);
  read(chart, its.at);
  choose(chart);
});

// Parts that take longer than a page may: they come when it is there.
for (const each of document.querySelectorAll("[data-fragment]")) {
  fetch(each.dataset.fragment, { credentials: "same-origin" })
    .then((answer) => (answer.ok ? answer.text() : Promise.reject(answer.status)))
    .then((text) => {
      const found = new DOMParser().parseFromString(text, "text/html").getElementById(each.id);
      if (found) each.replaceChildren(...found.childNodes);
    })
    .catch(() => {});
}

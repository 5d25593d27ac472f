// What is live: one stream of changes for all tabs of a browser, and the regions of this page shown anew after them.
// Regions are elements with an id and `data-live`; the page says in `data-topics` after which changes. A page fetched
// anew is merged into this one: focus, selection, what is typed and what is folded open stay.
import { tellTimes } from "./console.js";

const topics = (document.body.dataset.topics ?? "").split(/\s+/).filter(Boolean);
const shown = document.getElementById("live");
const me = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2)}`;
const SILENT = 40_000; // the stream gives a sign of life each 15 s
const MOST_TOPICS = 60;

if (topics.length && shown && "EventSource" in window) listen();

function listen() {
  const channel = "BroadcastChannel" in window ? new BroadcastChannel("service-monitoring") : null;
  const wanted = new Map([[me, topics]]); // by tab
  let stream = null, seen = "", tries = 0, timer = 0, silence = 0, leading = false, up = null, subscribed = "";

  const tell = (said) => channel?.postMessage(said);
  const hear = (said) => {
    if (said.what === "changed") changed(said.topics, said.spread);
    else if (said.what === "state") state(said.up, said.at);
    else if (said.what === "who" && !leading) tell({ what: "want", tab: me, topics });
    else if (said.what === "want" && leading) want(said.tab, said.topics);
    else if (said.what === "bye") wanted.delete(said.tab);
  };
  if (channel) channel.onmessage = (event) => hear(event.data);
  addEventListener("pagehide", () => tell({ what: "bye", tab: me }));
  // Back from the page cache of the browser: whatever came meanwhile was not heard.
  addEventListener("pageshow", (event) => { if (event.persisted) { tell({ what: "want", tab: me, topics }); changed(null, 0); } });

  if (channel && navigator.locks) {
    tell({ what: "want", tab: me, topics });
    navigator.locks.request("service-monitoring-live", () => { lead(); return new Promise(() => {}); });
  } else lead();

  function lead() {
    leading = true;
    tell({ what: "who" });
    timer = setTimeout(connect, 50);
  }

  function want(tab, its) {
    wanted.set(tab, its);
    if (up !== null) tell({ what: "state", up, at: lastHeard });
    if (stream && its.some((each) => !subscribed.split(" ").includes(each))) connect();
  }

  function connect() {
    clearTimeout(timer);
    stream?.close();
    const all = new Set([...wanted.values()].flat());
    subscribed = [...all].slice(0, MOST_TOPICS).join(" ");
    stream = new EventSource(`/api/v1/events?${new URLSearchParams({ topics: subscribed, seen })}`);
    const mine = stream;
    let spread = 0;
    const alive = (event) => {
      if (mine !== stream) return false;
      if (event?.lastEventId) seen = event.lastEventId;
      clearTimeout(silence);
      silence = setTimeout(lost, SILENT);
      tries = 0;
      both({ what: "state", up: true, at: Date.now() });
      return true;
    };
    let pending = new Set();
    stream.addEventListener("hello", (event) => { spread = Number(event.data) || 0; alive(event); });
    stream.addEventListener("beat", alive);
    stream.addEventListener("reset", (event) => alive(event) && both({ what: "changed", topics: null, spread }));
    stream.onmessage = (event) => {
      if (!alive(event)) return;
      if (!pending.size) setTimeout(() => { both({ what: "changed", topics: [...pending], spread }); pending = new Set(); }, 20);
      pending.add(event.data);
    };
    stream.onerror = () => mine === stream && lost();
    silence = setTimeout(lost, SILENT);
  }

  function lost() {
    clearTimeout(silence);
    stream?.close();
    stream = null;
    both({ what: "state", up: false, at: lastHeard });
    const wait = Math.min(30_000, 1_000 * 2 ** tries++) * (0.5 + Math.random());
    timer = setTimeout(connect, wait);
  }

  function both(said) {
    if (said.what === "state" && said.up && up && said.at - lastHeard < 5_000) { lastHeard = said.at; return; }
    tell(said);
    hear(said);
  }

  let lastHeard = Date.now();
  function state(now, at) {
    const before = up;
    up = now;
    if (now) lastHeard = at;
    shown.hidden = false;
    shown.classList.toggle("lost", !now);
    const text = now ? "live" : `connection lost, shown as of ${new Date(at).toLocaleTimeString()}`;
    if (shown.textContent !== text) shown.textContent = text;
    if (now && before === false) changed(null, 0); // what came meanwhile may have been missed
  }
}

// Fetching anew: after what concerns this page, at most once a second, while somebody can see it -------------------------

let due = 0, fetching = false, stale = false, last = 0;

function changed(which, spread) {
  if (which && !which.some((each) => topics.includes(each))) return;
  stale = true;
  plan(Math.random() * Math.min(30_000, Math.max(50, spread)));
}

function plan(wait) {
  if (due || fetching || document.hidden) return;
  due = setTimeout(() => { due = 0; refresh(); }, Math.max(wait, last + 1_000 - Date.now()));
}

document.addEventListener("visibilitychange", () => { if (stale) plan(0); });
document.addEventListener("selectionchange", () => { if (stale && !selecting()) plan(200); });

function selecting() {
  const selection = getSelection();
  return !!selection && !selection.isCollapsed && !!selection.anchorNode?.parentElement?.closest("[data-live]");
}

async function refresh() {
  if (document.hidden || selecting()) return; // whoever marks text wants to copy it: later
  fetching = true;
  stale = false;
  try {
    const answer = await fetch(location.href, { headers: { accept: "text/html" }, cache: "no-store" });
    if (answer.redirected && new URL(answer.url).pathname !== location.pathname) location.assign(location.href);
    else if (answer.ok) show(new DOMParser().parseFromString(await answer.text(), "text/html"));
  } catch {
    stale = true; // the stream says that the connection is lost, and asks again
  } finally {
    fetching = false;
    last = Date.now();
    if (stale) plan(1_000);
  }
}

// Merging ---------------------------------------------------------------------------------------------------------------

function show(fresh) {
  const focused = document.activeElement;
  let rows = 0;
  for (const region of document.querySelectorAll("[data-live][id]")) {
    const next = fresh.getElementById(region.id);
    if (!next || region.parentElement?.closest("[data-live]")) continue;
    const before = new Map([...region.querySelectorAll("tr[id], li[id]")].map((row) => [row.id, said(row)]));
    merge(region, document.adoptNode(next));
    for (const row of region.querySelectorAll("tr[id], li[id]")) {
      if (before.get(row.id) === said(row)) continue;
      rows += 1;
      mark(row);
    }
  }
  if (focused && focused !== document.activeElement && focused.isConnected) focused.focus({ preventScroll: true });
  tellTimes();
  if (rows) announce(rows);
  dispatchEvent(new CustomEvent("shown-anew"));
}

// What a row says, but for times, which go on by themselves.
function said(row) {
  const copy = row.cloneNode(true);
  for (const each of copy.querySelectorAll("time, [data-quiet]")) each.remove();
  return copy.textContent.replace(/\s+/g, " ").trim();
}

function mark(row) {
  row.classList.remove("changed");
  void row.offsetWidth; // begin the animation anew
  row.classList.add("changed");
  row.addEventListener("animationend", () => row.classList.remove("changed"), { once: true });
}

function merge(old, next) {
  if (old.nodeName !== next.nodeName) { old.replaceWith(next); return; }
  attributes(old, next);
  if (old.nodeName === "TEXTAREA") { if (untouched(old)) old.value = old.defaultValue = next.defaultValue; return; }
  if (old.nodeName === "SELECT" && !untouched(old)) return;
  const known = new Map();
  for (const each of old.children) if (each.id) known.set(each.id, each);
  let at = old.firstChild;
  for (const wanted of [...next.childNodes]) {
    const named = wanted.id ? known.get(wanted.id) : null;
    if (named) {
      if (named === at) at = at.nextSibling;
      else old.insertBefore(named, at);
      merge(named, wanted);
    } else if (at && alike(at, wanted)) {
      const here = at;
      at = at.nextSibling;
      if (here.nodeType === Node.ELEMENT_NODE) merge(here, wanted);
      else if (here.nodeValue !== wanted.nodeValue) here.nodeValue = wanted.nodeValue;
    } else old.insertBefore(wanted, at);
  }
  while (at) { const gone = at; at = at.nextSibling; gone.remove(); }
}

function alike(one, other) {
  return one.nodeType === other.nodeType && one.nodeName === other.nodeName && !one.id && !other.id;
}

// What somebody did here stays: what is folded open, typed, ticked or chosen, and what the page's own scripts set.
function attributes(old, next) {
  const mine = new Set(["open", "style"]);
  if (old.matches("input, textarea, select, option") && !untouched(old)) return;
  if (old.classList.contains("changed")) next.classList.add("changed");
  if (old.nodeName === "TIME" && old.getAttribute("datetime") === next.getAttribute("datetime")) {
    next.textContent = old.textContent;
    mine.add("title");
  }
  for (const { name } of [...old.attributes]) if (!mine.has(name) && !next.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of [...next.attributes]) {
    if (!mine.has(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

function untouched(field) {
  if (field === document.activeElement) return false;
  if (field.nodeName === "OPTION") return field.selected === field.defaultSelected;
  if (field.nodeName === "SELECT") return [...field.options].every((each) => each.selected === each.defaultSelected);
  if (field.type === "checkbox" || field.type === "radio") return field.checked === field.defaultChecked;
  return field.value === field.defaultValue;
}

// For who does not see it: few words, and not more often than every ten seconds -------------------------------------------

let voice = null, spoken = 0;

function announce(rows) {
  if (Date.now() - spoken < 10_000) return;
  spoken = Date.now();
  if (!voice) {
    voice = document.createElement("div");
    voice.className = "hidden";
    voice.setAttribute("role", "status");
    document.body.append(voice);
  }
  voice.textContent = rows === 1 ? "1 entry changed" : `${rows} entries changed`;
}

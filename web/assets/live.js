// Keeps a page current: hears of changes (server-sent events), reads the page's own HTML again and swaps the marked parts
// that differ. A page is complete without this. Never touched: what has focus, a selection or the pointer on a control;
// rows never come, go or change places by themselves, a note says how many there are instead.

import { onChange } from "./changes.js";

const MIN_GAP_MS = 1000; // between two readings of the page

// Which part of a log is shown, and what is searched for in it: no other part of the page depends on it.
const LOG_PARAMS = ["line", "find", "hit", "after", "before"];

const topics = document.body.dataset.topics ?? "";
// A visible page reads itself at least so often: "in 4 m" goes stale, and nothing announces that somebody fell silent.
const AGE_MS = topics === "fleet" ? 4000 : 15_000;
const clock = document.querySelector("[data-clock]");
let skew = clock ? Number(clock.dataset.clock) - Date.now() : 0;
let zoneOffset = offsetOf(clock?.querySelector("time")?.dateTime);
let freshAt = Date.now();
let connected = false;
let cut = false;
let unread = false; // the last reading failed
let wanted = false;
let busy = false;
let lastRead = Date.now();
let pending = 0;

function offsetOf(iso) {
  const match = /([+-])(\d\d):(\d\d)$/.exec(iso ?? "");
  if (!match) return 0;
  return (match[1] === "-" ? -1 : 1) * (Number(match[2]) * 60 + Number(match[3])) * 60_000;
}

function tick() {
  if (!clock) return;
  const time = clock.querySelector("time");
  if (cut || unread) {
    const age = Math.round((Date.now() - freshAt) / 1000);
    time.textContent = `not live, ${age < 60 ? `${age} s` : `${Math.floor(age / 60)} m`} old`;
    return;
  }
  time.textContent = new Date(Date.now() + skew + zoneOffset).toISOString().slice(11, 19);
}

function concerns(batch) {
  if (topics === "all" || batch.all) return true;
  if (topics === "fleet") return batch.fleet;
  const [kind, id] = [topics.slice(0, topics.indexOf(":")), topics.slice(topics.indexOf(":") + 1)];
  if (kind === "run") return batch.runs.includes(Number(id));
  if (kind === "dag") return batch.dags.includes(id);
  return false;
}

function held(element) {
  const active = document.activeElement;
  if (active && active !== document.body && element.contains(active)) return true;
  if (element.querySelector("a:hover, button:hover, input:hover")) return true;
  const selection = document.getSelection();
  return Boolean(selection && !selection.isCollapsed && selection.containsNode(element, true));
}

function keysOf(root) {
  return [...root.querySelectorAll("[data-live]")].map((element) => element.dataset.live);
}

// Only what stands in the same place in both may be swapped; the rest is told, not done.
function apply(next) {
  let swapped = true;
  const later = [];
  for (const old of document.querySelectorAll("[data-live]")) {
    const fresh = next.querySelector(`[data-live="${CSS.escape(old.dataset.live)}"]`);
    if (!fresh || old.outerHTML === fresh.outerHTML) continue;
    if (held(old)) {
      later.push(old);
      swapped = false;
      continue;
    }
    const node = document.importNode(fresh, true);
    const boxes = [...old.querySelectorAll(".scroll, .graph")].map((box) => box.scrollLeft);
    if (old.matches("tr, li")) node.classList.add("is-fresh");
    old.replaceWith(node);
    [...node.querySelectorAll(".scroll, .graph")].forEach((box, at) => { if (boxes[at]) box.scrollLeft = boxes[at]; });
  }
  tell(next);
  return swapped;
}

function tell(next) {
  for (const rows of document.querySelectorAll("[data-live-rows]")) {
    const fresh = next.querySelector(`[data-live-rows="${CSS.escape(rows.dataset.liveRows)}"]`);
    if (!fresh) continue;
    const known = new Set(keysOf(rows));
    const added = keysOf(fresh).filter((key) => !known.has(key)).length;
    let note = rows.closest("section")?.querySelector("[data-newer]");
    if (!added) { note?.remove(); continue; }
    if (!note) {
      note = document.createElement("button");
      note.type = "button";
      note.className = "button is-small";
      note.dataset.newer = "";
      note.addEventListener("click", () => location.reload());
      (rows.closest("section")?.querySelector(".section-head") ?? rows).append(note);
    }
    note.textContent = `Show ${added} newer`;
  }
  const before = document.querySelector("h1")?.textContent;
  const after = next.querySelector("h1")?.textContent;
  const announce = document.querySelector("[data-announce]");
  if (announce && after && before !== after) announce.textContent = after;
}

async function read() {
  if (busy || document.hidden) { wanted = true; return; }
  busy = true;
  wanted = false;
  lastRead = Date.now();
  try {
    const url = new URL(location.href);
    url.searchParams.delete("done");
    if (document.querySelector("[data-log]")) for (const name of LOG_PARAMS) url.searchParams.delete(name);
    const answer = await fetch(url, { headers: { accept: "text/html" }, credentials: "same-origin", redirect: "error" });
    if (!answer.ok) throw new Error(String(answer.status));
    const next = new DOMParser().parseFromString(await answer.text(), "text/html");
    const time = next.querySelector("[data-clock]");
    if (time) {
      skew = Number(time.dataset.clock) - Date.now();
      zoneOffset = offsetOf(time.querySelector("time")?.dateTime);
    }
    freshAt = Date.now();
    unread = false;
    if (!apply(next)) pending = setTimeout(read, 3000);
  } catch {
    unread = true;
  } finally {
    busy = false;
  }
}

function soon() {
  if (wanted) return;
  wanted = true;
  setTimeout(() => { if (wanted) { clearTimeout(pending); read(); } }, Math.max(0, lastRead + MIN_GAP_MS - Date.now()));
}

function hear({ kind, batch }) {
  if (kind === "change") {
    if (concerns(batch)) soon();
    return;
  }
  const missed = cut || connected; // what happened meanwhile is unknown
  cut = kind === "cut";
  if (cut) return;
  connected = true;
  if (missed) soon();
}

function toasts() {
  const toast = document.querySelector("[data-toast]");
  if (!toast) return;
  const url = new URL(location.href);
  url.searchParams.delete("done");
  history.replaceState(null, "", url);
  setTimeout(() => toast.remove(), 6000);
}

toasts();
addEventListener("keydown", (event) => {
  const typing = event.target instanceof HTMLElement && event.target.matches("input, textarea, select");
  if (event.key === "/" && !typing && !event.ctrlKey && !event.metaKey) {
    const field = document.querySelector(".bar-search input");
    if (field && field.offsetParent) { event.preventDefault(); field.focus(); }
  }
});
setInterval(tick, 1000);
if (topics) {
  onChange(hear);
  addEventListener("visibilitychange", () => { if (!document.hidden && (wanted || Date.now() - lastRead > AGE_MS)) read(); });
  setInterval(() => { if (!document.hidden && Date.now() - lastRead > AGE_MS) read(); }, 1000);
}

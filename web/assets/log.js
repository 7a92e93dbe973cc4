// A log on its page: adds lines at the end while the task runs. It asks for those after the last one that it has whenever
// something changed, and every few seconds; no answer is kept open. Without this the page shows what there was.

import { onChange } from "./changes.js";

const LINES_MAX = 5000;
const PART_LINES = 2000; // of one answer
const LOOK_MS = 2000;
const LINES_ABOVE = 20;
const WINDOW_LINES = 500;
const list = document.querySelector("[data-log]");
const state = document.querySelector("[data-log-state]");
const range = document.querySelector("[data-log-range]");
const toggle = document.querySelector("[data-follow] button");
const STYLES = {
  1: "ansi-bold", 2: "ansi-dim", 90: "ansi-dim", 31: "ansi-red", 91: "ansi-red", 32: "ansi-green", 92: "ansi-green",
  33: "ansi-yellow", 93: "ansi-yellow", 34: "ansi-blue", 94: "ansi-blue", 35: "ansi-magenta", 95: "ansi-magenta",
  36: "ansi-cyan", 96: "ansi-cyan",
};
const SOURCES = { out: ["", "out"], err: ["lv-err", "err"], sys: ["lv-rota", "rota"] };
let next = Number(list?.dataset.next);
let busy = false;
let ended = false;

function span(className, text) {
  const node = document.createElement("span");
  if (className) node.className = className;
  node.textContent = text;
  return node;
}

function styled(text) {
  const node = span("tx", "");
  let style = "";
  for (const part of text.split(/(\x1b\[[0-9;?]*[@-~])/)) {
    if (part.startsWith("\x1b[")) {
      if (!part.endsWith("m")) continue;
      for (const code of part.slice(2, -1).split(";")) style = STYLES[Number(code)] ?? (Number(code) === 0 ? "" : style);
    } else if (part) {
      node.append(style ? span(style, part) : part.replace(/[\x00-\x08\x0b-\x1f\x7f]/g, ""));
    }
  }
  return node;
}

function linkTo(line, className, text, hash = "") {
  const link = document.createElement("a");
  link.href = `${list.dataset.base}&line=${Math.max(1, line)}${hash}`;
  link.className = className;
  link.textContent = text;
  return link;
}

function add(line, no) {
  const [iso, word] = line.split(" ", 2);
  const [className, from] = SOURCES[word] ?? ["", ""];
  const at = Date.parse(iso);
  const stamped = from && !Number.isNaN(at);
  const item = document.createElement("li");
  item.id = `L${no}`;
  if (stamped) item.className = className;
  const time = document.createElement("time");
  time.className = "at";
  if (stamped) {
    time.dateTime = iso;
    time.textContent = new Date(at + Number(list.dataset.offset)).toISOString().slice(11, 23);
  }
  const text = stamped ? line.slice(iso.length + word.length + 2) : line;
  item.append(linkTo(no - LINES_ABOVE, "no", no.toLocaleString("en"), `#L${no}`), time, span("lv", stamped ? from : ""), styled(text));
  document.getElementById(item.id)?.remove(); // a line that had no end yet
  list.append(item);
}

// What goes at the top stays within reach: by a link.
function trim() {
  if (list.childElementCount <= LINES_MAX) return;
  while (list.childElementCount > LINES_MAX) list.firstElementChild.remove();
  const before = document.querySelector("[data-log-before]");
  const first = Number(list.firstElementChild.id.slice(1));
  before.replaceChildren(linkTo(1, "link", "From the start"), linkTo(first - WINDOW_LINES, "link", "Earlier lines"));
  before.hidden = false;
}

// Adds the lines of one answer. Whether there may be more at once.
async function take() {
  const answer = await fetch(`${list.dataset.log}&line=${next}&limit=${PART_LINES}`, { credentials: "same-origin" });
  if (!answer.ok) throw new Error(String(answer.status));
  const isOver = answer.headers.get("x-log-state") === "ended";
  const lines = (await answer.text()).split("\n");
  const rest = lines.pop();
  for (const line of lines) add(line, next++);
  const isFull = lines.length === PART_LINES;
  ended = isOver && !isFull;
  if (ended && rest) add(rest, next); // its end will not come
  if (list.childElementCount) document.querySelector("[data-log-none]")?.remove();
  trim();
  if (lines.length) range.textContent = `lines ${list.firstElementChild.id.slice(1)} to ${next - 1}`;
  if (toggle.getAttribute("aria-checked") === "true") list.scrollTop = list.scrollHeight;
  state.textContent = ended ? "ended" : "follows";
  state.classList.toggle("is-running", !ended);
  return isFull;
}

async function look() {
  if (busy || ended || document.hidden) return;
  busy = true;
  try {
    while (await take());
  } catch {
    state.textContent = "cannot be read now, tried again";
  } finally {
    busy = false;
  }
}

function follow() {
  toggle.closest("label").hidden = false;
  toggle.addEventListener("click", () => toggle.setAttribute("aria-checked", String(toggle.getAttribute("aria-checked") !== "true")));
  onChange(({ kind }) => { if (kind !== "cut") look(); });
  document.addEventListener("visibilitychange", look);
  setInterval(look, LOOK_MS);
  look();
}

if (list) {
  const asked = new URLSearchParams(location.search);
  // Whoever came for a line is not taken away from it.
  if (asked.has("line") || asked.has("hit")) toggle.setAttribute("aria-checked", "false");
  else list.scrollTop = list.scrollHeight;
  if (list.dataset.follows === "true") follow();
}

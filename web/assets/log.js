// Follows a log: reads the API's stream and adds lines at the end. Without this the page shows what there was.

const LINES_MAX = 5000;
const list = document.querySelector("[data-log]");
const state = document.querySelector("[data-log-state]");
const label = document.querySelector("[data-follow]");
const STYLES = {
  1: "ansi-bold", 2: "ansi-dim", 90: "ansi-dim", 31: "ansi-red", 91: "ansi-red", 32: "ansi-green", 92: "ansi-green",
  33: "ansi-yellow", 93: "ansi-yellow", 34: "ansi-blue", 94: "ansi-blue", 35: "ansi-magenta", 95: "ansi-magenta",
  36: "ansi-cyan", 96: "ansi-cyan",
};
const SOURCES = { out: ["", "out"], err: ["lv-err", "err"], sys: ["lv-rota", "rota"] };

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

function add(line, offset) {
  const [iso, word] = line.split(" ", 2);
  const [className, from] = SOURCES[word] ?? ["", ""];
  const item = document.createElement("li");
  item.className = className;
  const time = document.createElement("time");
  time.className = "at";
  const at = Date.parse(iso);
  if (!Number.isNaN(at)) {
    time.dateTime = iso;
    time.textContent = new Date(at + offset).toISOString().slice(11, 23);
  }
  const text = Number.isNaN(at) ? line : line.slice(iso.length + word.length + 2);
  const last = list.lastElementChild?.querySelector(".no")?.textContent;
  const no = list.childElementCount === 0 ? "1" : last ? String(Number(last) + 1) : "";
  item.append(span("no", no), time, span("lv", from), styled(text));
  list.append(item);
  while (list.childElementCount > LINES_MAX) list.firstElementChild.remove();
}

async function follow() {
  const toggle = label.querySelector("button");
  const offset = Number(list.dataset.offset);
  label.hidden = false;
  toggle.addEventListener("click", () => toggle.setAttribute("aria-checked", String(toggle.getAttribute("aria-checked") !== "true")));
  const answer = await fetch(`${list.dataset.log}&follow=true&from=${list.dataset.next}`, { credentials: "same-origin" });
  if (!answer.ok) throw new Error(String(answer.status));
  state.textContent = "follows";
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    rest += value ?? "";
    const lines = rest.split("\n");
    rest = lines.pop();
    for (const line of lines) add(line, offset);
    if (lines.length && toggle.getAttribute("aria-checked") === "true") list.scrollTop = list.scrollHeight;
    if (done) break;
  }
  if (rest) add(rest, offset);
  state.textContent = "ended";
  state.classList.remove("is-running");
}

if (list) {
  list.scrollTop = list.scrollHeight;
  if (list.dataset.follows === "true") {
    follow().catch(() => { state.textContent = "the stream was cut; reload for new lines"; });
  }
}

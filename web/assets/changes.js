// What pages hear of changes. A browser opens few connections to one host, so all its pages share one stream: a worker
// holds it; where there is none, the page that holds a lock does and passes on what it hears. Only a page that is seen
// takes part: it leaves when it is hidden, left, or kept for the back button, and joins again when it is shown.

import { Stream } from "./stream.js";

const HERE_MS = 10_000;
const listeners = [];
let leave = null;

function tell(said) {
  for (const listener of listeners) listener(said);
}

function throughWorker() {
  const worker = new SharedWorker(new URL("./stream-worker.js", import.meta.url), { type: "module", name: "rota" });
  const { port } = worker;
  const here = () => port.postMessage("here");
  port.addEventListener("message", ({ data }) => tell(data));
  port.start();
  here();
  const timer = setInterval(here, HERE_MS);
  return () => {
    clearInterval(timer);
    port.postMessage("gone");
    port.close();
  };
}

function throughLock() {
  const channel = new BroadcastChannel("rota");
  const left = new AbortController();
  channel.addEventListener("message", ({ data }) => tell(data));
  const lead = () => new Promise((done) => {
    const stream = new Stream((said) => { tell(said); channel.postMessage(said); });
    left.signal.addEventListener("abort", () => { stream.close(); done(); });
  });
  // Refused only because this page left while it waited for its turn.
  navigator.locks.request("rota-stream", { signal: left.signal }, lead).catch(() => {});
  return () => {
    left.abort();
    channel.close();
  };
}

function alone() {
  const stream = new Stream(tell);
  return () => stream.close();
}

function join() {
  if (leave || document.hidden || !listeners.length) return;
  if (typeof SharedWorker !== "undefined") leave = throughWorker();
  else if (navigator.locks) leave = throughLock(); // only where the connection is secure
  else leave = alone();
}

function part() {
  leave?.();
  leave = null;
}

addEventListener("pageshow", join);
addEventListener("pagehide", part);
document.addEventListener("visibilitychange", () => (document.hidden ? part() : join()));

// Calls `listener` with what a Stream tells, as long as this page is seen.
export function onChange(listener) {
  listeners.push(listener);
  join();
}

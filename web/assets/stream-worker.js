// Shared by all pages of a browser: holds one stream of changes for as long as a page is seen.

import { Stream } from "./stream.js";

const SILENT_MAX_MS = 35_000; // a page says every 10 s that it is there; one that crashed says nothing
const pages = new Map(); // a page's port, and when it was heard last
let stream = null;

function tell(said) {
  for (const port of pages.keys()) port.postMessage(said);
}

function here(port) {
  const isNew = !pages.has(port);
  pages.set(port, Date.now());
  if (!stream) stream = new Stream(tell);
  else if (isNew && stream.connected) port.postMessage({ kind: "hello" });
  else if (isNew) stream.open();
}

function gone(port) {
  pages.delete(port);
  port.close();
  if (pages.size) return;
  stream?.close();
  stream = null;
}

addEventListener("connect", (event) => {
  const [port] = event.ports;
  port.addEventListener("message", ({ data }) => (data === "gone" ? gone(port) : here(port)));
  port.start();
});

setInterval(() => {
  for (const [port, at] of pages) if (Date.now() - at > SILENT_MAX_MS) gone(port);
}, 10_000);

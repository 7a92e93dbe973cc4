// The stream of changes: opened, and after a cut opened again, ever later. Whoever holds it hears
// { kind: "hello" } when it is connected, { kind: "change", batch } and { kind: "cut" }.

const RETRY_MS = [1000, 2000, 5000, 10_000, 30_000];

export class Stream {
  #tell;
  #events = null;
  #timer = 0;
  #failures = 0;
  connected = false;

  constructor(tell) {
    this.#tell = tell;
    this.open();
  }

  // Opens it now if it waits for its next attempt.
  open() {
    if (this.#events) return;
    clearTimeout(this.#timer);
    const events = new EventSource("/api/v1/events");
    this.#events = events;
    events.addEventListener("hello", () => {
      this.#failures = 0;
      this.connected = true;
      this.#tell({ kind: "hello" });
    });
    events.addEventListener("change", (event) => this.#tell({ kind: "change", batch: JSON.parse(event.data) }));
    events.addEventListener("error", () => {
      this.close();
      this.#tell({ kind: "cut" });
      this.#timer = setTimeout(() => this.open(), RETRY_MS[Math.min(this.#failures++, RETRY_MS.length - 1)]);
    });
  }

  close() {
    clearTimeout(this.#timer);
    this.#events?.close();
    this.#events = null;
    this.connected = false;
  }
}

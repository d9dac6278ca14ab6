import { Backoff } from "./backoff.js";

/** Where a WebSocket of this server is. */
export function socketAddress(path) {
  const address = new URL(path, location.href);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  return address.href;
}

/**
 * A WebSocket of this server that is opened again when it goes away, later and later, until it is closed from here.
 * The handlers: opened(), received(data), lost(milliseconds until the next attempt).
 */
export class Channel {
  #path;
  #handlers;
  #backoff = new Backoff();
  #socket = null;
  #timer = 0;
  #isLast = false;

  constructor(path, handlers) {
    this.#path = path;
    this.#handlers = handlers;
  }

  /** Opens it, now if it is waiting for its next attempt. */
  open() {
    if (this.#socket) return;
    clearTimeout(this.#timer);
    const socket = new WebSocket(socketAddress(this.#path));
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      this.#backoff.reset();
      this.#handlers.opened?.();
    };
    socket.onmessage = event => this.#handlers.received(event.data);
    socket.onclose = () => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      if (this.#isLast) return;
      const wait = this.#backoff.next();
      this.#timer = setTimeout(() => this.open(), wait);
      this.#handlers.lost?.(wait);
    };
  }

  /** The machine has ended: what comes now is all there will be. Makes no further attempts. */
  settle() {
    clearTimeout(this.#timer);
    this.#isLast = true;
  }

  /** Closes it and makes no further attempts. */
  close() {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }

  /** Sends if it is open; what is typed at a machine that is not there is lost, as at a cable that is not plugged in. */
  send(data) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(data);
  }
}

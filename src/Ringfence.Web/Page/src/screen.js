import RFB from "@novnc/novnc";
import { Backoff } from "./backoff.js";
import { socketAddress } from "./channel.js";
import { byId, element } from "./element.js";
import { keyboardGrab } from "./keyboardGrab.js";
import { typedText } from "./typedText.js";

const LOOK_INTERVAL = 500;

/** The machine's screen: noVNC upon the server's RFB, as large as there is room, as high as the picture's shape says. */
export class MachineScreen {
  #glass = byId("screen");
  #veil = byId("screen-veil");
  #backoff = new Backoff();
  #rfb = null;
  #timer = 0;
  #looking = 0;
  #wanted = false;

  constructor() {
    keyboardGrab(this.#glass, () => this.#rfb?.focus());
    typedText(byId("type"), byId("typed"), keysym => this.#rfb?.sendKey(keysym));
    byId("fullscreen").addEventListener("click", () => this.#glass.requestFullscreen?.().then(() => this.#rfb?.focus(), () => {}));
  }

  /** Connects, and again whenever the connection goes away. */
  connect() {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#connect();
  }

  /** Shows what there still is, and makes no further attempts. */
  settle() {
    this.#wanted = false;
    clearTimeout(this.#timer);
  }

  /** Makes no further attempts; what was seen last stays, with a word over it. */
  disconnect(text) {
    this.settle();
    this.#veil.textContent = text;
    this.#veil.hidden = false;
    this.#glass.dataset.shows = "past";
  }

  #connect() {
    if (this.#rfb) return;
    // noVNC takes its elements out of the page when a connection ends, and not all at once: each connection has a frame of its own.
    const frame = element("div", { id: "frame" });
    byId("frame").replaceWith(frame);
    const rfb = new RFB(frame, socketAddress("/screen"), { shared: true });
    this.#rfb = rfb;
    rfb.scaleViewport = true;
    rfb.showDotCursor = true;
    rfb.background = "transparent";
    const shape = new MutationObserver(() => this.#shape(frame));
    shape.observe(frame, { subtree: true, attributes: true, attributeFilter: ["width", "height"] });
    rfb.addEventListener("connect", () => {
      this.#backoff.reset();
      this.#shape(frame);
      this.#veil.textContent = "The guest has shown nothing here yet";
      this.#looking = setInterval(() => this.#look(frame), LOOK_INTERVAL);
    });
    rfb.addEventListener("disconnect", () => {
      shape.disconnect();
      clearInterval(this.#looking);
      if (this.#rfb !== rfb) return;
      this.#rfb = null;
      if (this.#wanted) this.#timer = setTimeout(() => this.#connect(), this.#backoff.next());
    });
  }

  #shape(frame) {
    const canvas = frame.querySelector("canvas");
    if (!canvas?.width || !canvas.height) return;
    this.#glass.style.setProperty("--columns", canvas.width);
    this.#glass.style.setProperty("--lines", canvas.height);
  }

  // Guests that use their serial ports only leave the screen black: it takes little room until there is something on it.
  #look(frame) {
    const canvas = frame.querySelector("canvas");
    if (!canvas?.width || !canvas.height) return;
    const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height }).getContext("2d", { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    const pixels = new Uint32Array(copy.getImageData(0, 0, canvas.width, canvas.height).data.buffer);
    if (!pixels.some(pixel => pixel & 0xffffff)) return;
    clearInterval(this.#looking);
    this.#veil.hidden = true;
    this.#glass.dataset.shows = "picture";
  }
}

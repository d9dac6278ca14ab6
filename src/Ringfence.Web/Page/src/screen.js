import RFB from "@novnc/novnc";
import { Backoff } from "./backoff.js";
import { socketAddress } from "./channel.js";
import { byId, element } from "./element.js";
import { keyboardGrab } from "./keyboardGrab.js";
import { typedText } from "./typedText.js";

/** The machine's screen: noVNC upon the server's RFB, as large as there is room, as high as the picture's shape says. */
export class MachineScreen {
  #glass = byId("screen");
  #veil = byId("screen-veil");
  #backoff = new Backoff();
  #rfb = null;
  #timer = 0;
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

  /** Makes no further attempts; what was seen last stays, with a word over it. */
  disconnect(text) {
    this.#wanted = false;
    clearTimeout(this.#timer);
    this.#veil.textContent = text;
    this.#veil.hidden = false;
    this.#glass.classList.add("off");
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
      this.#veil.hidden = true;
    });
    rfb.addEventListener("disconnect", () => {
      shape.disconnect();
      if (this.#rfb !== rfb) return;
      this.#rfb = null;
      if (this.#wanted) this.#timer = setTimeout(() => this.#connect(), this.#backoff.next());
    });
  }

  #shape(frame) {
    const canvas = frame.querySelector("canvas");
    if (!canvas?.width || !canvas.height) return;
    this.#glass.classList.remove("off");
    this.#glass.style.setProperty("--columns", canvas.width);
    this.#glass.style.setProperty("--lines", canvas.height);
  }
}

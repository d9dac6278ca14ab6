import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import { Channel } from "./channel.js";
import { element } from "./element.js";
import { keyboardGrab } from "./keyboardGrab.js";

const NARROW = 600;
const COLOURS = {
  background: "#0b0f14", foreground: "#d7dee7", cursor: "#82b6f2", cursorAccent: "#0b0f14", selectionBackground: "#2f5b8f",
  black: "#1b232d", red: "#ff8f88", green: "#74d199", yellow: "#e7c25c", blue: "#82b6f2", magenta: "#cf9df0", cyan: "#6fd0d6", white: "#d7dee7",
  brightBlack: "#8593a3", brightRed: "#ffb0aa", brightGreen: "#9be7b8", brightYellow: "#f6dc8c", brightBlue: "#aed0fb", brightMagenta: "#e0bffa", brightCyan: "#9be8ec", brightWhite: "#ffffff",
};

/** A serial port's other end: a terminal that shows what the guest has said since power-on, and sends what is typed. */
export class SerialTerminal {
  #terminal = new Terminal({
    theme: COLOURS,
    fontFamily: 'ui-monospace, "SF Mono", SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace',
    fontSize: fontSize(),
    lineHeight: 1.15,
    scrollback: 10_000,
    minimumContrastRatio: 4.5,
    cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
    cursorInactiveStyle: "outline",
  });

  #fit = new FitAddon();
  #encoder = new TextEncoder();
  #channel;
  #silence = element("p", { className: "veil", textContent: "The guest has written nothing here yet" });
  #isRepeating = false;

  constructor(number, name) {
    this.panel = element("div", { className: "glass serial", tabIndex: 0, id: `serial-${number}` });
    this.panel.setAttribute("role", "group");
    this.panel.setAttribute("aria-label", `Serial console ${name}. Enter types into it, Ctrl and Alt pressed and released together leave it.`);
    keyboardGrab(this.panel, () => this.#terminal.focus());
    this.#channel = new Channel(`/serial/${number}`, { opened: () => this.#opened(), received: data => this.#received(data) });
    this.#terminal.loadAddon(this.#fit);
    this.#terminal.onData(text => this.#send(this.#encoder.encode(text)));
    this.#terminal.onBinary(text => this.#send(Uint8Array.from(text, character => character.charCodeAt(0))));
  }

  /** Shows it in the page, where its panel must be by now. */
  open() {
    const inside = element("div", { className: "inside" });
    this.panel.append(inside, this.#silence);
    this.#terminal.open(inside);
    this.#terminal.textarea.tabIndex = -1;
    new ResizeObserver(() => this.#resize()).observe(inside);
  }

  /** Connects, and again whenever the connection goes away. */
  connect() {
    this.#channel.open();
  }

  /** Shows what there still is, and makes no further attempts. */
  settle() {
    this.#channel.settle();
  }

  /** Makes no further attempts. */
  disconnect() {
    this.#channel.close();
  }

  #resize() {
    if (!this.panel.offsetParent) return;
    this.#terminal.options.fontSize = fontSize();
    this.#fit.fit();
  }

  #opened() {
    this.#terminal.reset();
    this.#silence.hidden = false;
    this.#isRepeating = true;
  }

  // First comes what the guest has said so far, then an empty message: whatever it asked the terminal until then has been answered before.
  #received(data) {
    const bytes = new Uint8Array(data);
    if (bytes.length > 0) this.#silence.hidden = true;
    this.#terminal.write(bytes, bytes.length > 0 ? undefined : () => (this.#isRepeating = false));
  }

  #send(bytes) {
    if (!this.#isRepeating) this.#channel.send(bytes);
  }
}

function fontSize() {
  return innerWidth < NARROW ? 11 : 13;
}

import { byId, element } from "./element.js";
import { MachineScreen } from "./screen.js";
import { SerialTerminal } from "./serial.js";

const LEAVE = "Ctrl and Alt together leave";

/** The screen and the serial consoles, as many as the machine has. */
export class Consoles {
  #screen = null;
  #serials = null;

  constructor() {
    // Whoever is in a console is told how to come out of it; whoever is at its frame, how to go in.
    for (const kind of ["focusin", "focusout"]) byId("consoles").addEventListener(kind, () => queueMicrotask(() => this.#hint()));
  }

  /** Shows and connects what the machine has. */
  connect({ screen, serial }) {
    if (!this.#serials) this.#build(screen, serial);
    this.#screen?.connect();
    for (const one of this.#serials) one.connect();
  }

  /** The machine has ended: what it has shown and said stays. */
  settle() {
    this.#screen?.settle();
    for (const one of this.#serials) one.settle();
  }

  /** The server is gone. */
  disconnect(text) {
    this.#screen?.disconnect(text);
    for (const one of this.#serials ?? []) one.disconnect();
  }

  #build(hasScreen, names) {
    byId("consoles").dataset.screen = hasScreen ? "yes" : "no";
    byId("screen-panel").hidden = !hasScreen;
    byId("serial-panel").hidden = names.length === 0;
    byId("empty").hidden = hasScreen || names.length > 0;
    byId("empty").textContent = "This machine has neither a display adapter nor a serial port.";
    this.#serials = names.map((name, number) => new SerialTerminal(number, name));
    byId("serials").append(...this.#serials.map(one => one.panel));
    for (const one of this.#serials) one.open();
    if (names.length > 1) this.#tabs(names);
    else if (names.length === 1) byId("serial-title").textContent = `Serial console ${names[0]}`;
    if (hasScreen) this.#screen = new MachineScreen();
  }

  // Tabs after the ARIA practices: one of them is in the Tab order, the arrow keys go from one to the next.
  #tabs(names) {
    const list = byId("serial-tabs");
    const tabs = names.map((name, number) => element("button", { type: "button", id: `serial-tab-${number}`, textContent: name }));
    const select = chosen => tabs.forEach((tab, number) => {
      tab.setAttribute("aria-selected", String(number === chosen));
      tab.tabIndex = number === chosen ? 0 : -1;
      this.#serials[number].panel.hidden = number !== chosen;
    });
    tabs.forEach((tab, number) => {
      tab.setAttribute("role", "tab");
      tab.setAttribute("aria-controls", `serial-${number}`);
      tab.addEventListener("click", () => select(number));
      tab.addEventListener("keydown", event => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        const next = (number + step + tabs.length) % tabs.length;
        select(next);
        tabs[next].focus();
      });
      this.#serials[number].panel.setAttribute("role", "tabpanel");
    });
    list.append(...tabs);
    list.hidden = false;
    select(0);
  }

  #hint() {
    for (const hint of document.querySelectorAll(".hint")) {
      const glass = hint.closest(".panel").querySelector(".glass:focus-within");
      hint.textContent = !glass ? "" : glass === document.activeElement ? "Enter types into it" : LEAVE;
    }
  }
}

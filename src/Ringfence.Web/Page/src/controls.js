import { byId } from "./element.js";

/** The buttons: what they ask of the server, and when they can be pressed. */
export class Controls {
  #message = new Message(byId("message"));
  #state = "connecting";
  #name = "ringfence";

  constructor() {
    byId("pause").addEventListener("click", () => this.#ask(this.#state === "paused" ? "resume" : "pause"));
    byId("power").addEventListener("click", () => this.#ask("power"));
    byId("ctrl-alt-del").addEventListener("click", () => this.#ask("ctrl-alt-del"));
    byId("screenshot").addEventListener("click", () => this.#takeScreenshot());
    byId("reset").addEventListener("click", () => this.#askFirst("reset", "Reset the machine?", "It starts again at once. What the guest has not written to its disks yet is lost.", "Reset"));
    byId("stop").addEventListener("click", () => this.#askFirst("stop", "Switch the machine off?", "As if the plug were pulled: the guest is not asked, and Ringfence ends.", "Switch off"));
  }

  /** Shows a state: connecting, running, paused, ended, gone. */
  show(state, name = this.#name) {
    this.#state = state;
    this.#name = name;
    const alive = state === "running" || state === "paused";
    for (const id of ["pause", "reset", "power", "stop", "ctrl-alt-del"]) byId(id).disabled = !alive;
    byId("screenshot").disabled = !alive && state !== "ended";
    const pause = byId("pause");
    pause.dataset.does = state === "paused" ? "resume" : "pause";
    pause.querySelector("span").textContent = state === "paused" ? "Resume" : "Pause";
  }

  async #askFirst(action, title, text, yes) {
    const dialog = byId("confirm");
    byId("confirm-title").textContent = title;
    byId("confirm-text").textContent = text;
    byId("confirm-yes").textContent = yes;
    dialog.returnValue = "no";
    dialog.addEventListener("close", () => {
      if (dialog.returnValue === "yes") this.#ask(action);
    }, { once: true });
    dialog.showModal();
  }

  async #ask(action) {
    try {
      const answer = await fetch(`/machine/${action}`, { method: "POST" });
      this.#message.show(answer.ok ? "" : await reasonOf(answer));
    } catch {
      this.#message.show("The server cannot be reached.");
    }
  }

  async #takeScreenshot() {
    try {
      const answer = await fetch("/screen.png");
      if (!answer.ok) return this.#message.show(await reasonOf(answer));
      const address = URL.createObjectURL(await answer.blob());
      const link = document.createElement("a");
      link.href = address;
      link.download = `${this.#name}-${new Date().toISOString().slice(0, 19).replaceAll(":", "-")}.png`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(address), 10_000);
      this.#message.show("");
    } catch {
      this.#message.show("The server cannot be reached.");
    }
  }
}

/** A line that tells what went wrong, for a while. */
class Message {
  #element;
  #timer = 0;

  constructor(element) {
    this.#element = element;
  }

  show(text) {
    clearTimeout(this.#timer);
    this.#element.textContent = text;
    if (text) this.#timer = setTimeout(() => (this.#element.textContent = ""), 8000);
  }
}

async function reasonOf(answer) {
  return (await answer.text()).trim() || `The server answered ${answer.status}.`;
}

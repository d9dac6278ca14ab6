import { byId } from "./element.js";
import { bytes, duration, words } from "./format.js";

const DEFAULT_NAME = "ringfence";

/** What is said about the machine: its name, what it is made of, its state, and what is wrong. */
export class MachineState {
  #retry = byId("retry");
  #timer = 0;

  constructor(retry) {
    this.#retry.addEventListener("click", retry);
  }

  /** A frame of figures has come. */
  show(frame) {
    const name = frame.name === DEFAULT_NAME ? "Ringfence" : frame.name;
    document.title = `${frame.state === "running" ? "" : `${this.#word(frame)} · `}${name === "Ringfence" ? name : `${name} · Ringfence`}`;
    byId("name").textContent = name;
    const facts = [frame.engine, many(frame.processors, "processor"), bytes(frame.memoryBytes), `up ${duration(frame.time)}`];
    if (frame.resets > 0) facts.push(many(frame.resets, "reset"));
    if (frame.clients > 1) facts.push(many(frame.clients, "viewer"));
    byId("facts").textContent = facts.map(fact => fact.replaceAll(" ", "\u00a0")).join("\u00a0· ");
    this.#state(frame.state, this.#word(frame));
    if (frame.state === "ended") this.#banner("ended", this.#ending(frame));
    else this.#banner("", "");
  }

  /** The server is gone and will be tried again. */
  lost(wait) {
    this.#state("lost", "Connection lost");
    const until = performance.now() + wait;
    const tell = () => {
      const seconds = Math.ceil((until - performance.now()) / 1000);
      this.#banner("lost", `The machine's server cannot be reached. ${seconds > 0 ? `Next attempt in ${seconds} s.` : "Trying again."}`, true);
    };
    tell();
    this.#timer = setInterval(tell, 1000);
  }

  /** The server does not let this page in any more. */
  refused() {
    this.#state("lost", "Not admitted");
    this.#banner("lost", "The server does not know this page: it has been started anew. Open the address that it has printed.", false);
  }

  #word(frame) {
    return frame.state === "ended" ? "Ended" : frame.state === "paused" ? "Paused" : "Running";
  }

  #ending({ ended, time }) {
    const report = ended.report?.trim();
    return `The machine has ended after ${duration(time)}: ${words(ended.reason)}, exit code ${ended.exitCode}.${report ? `\n${report}` : ""}`;
  }

  // A live region says what is put into it even if it is the same: only changes are.
  #state(state, text) {
    byId("state").dataset.state = state;
    if (byId("state-text").textContent !== text) byId("state-text").textContent = text;
  }

  #banner(kind, text, canRetry = false) {
    clearInterval(this.#timer);
    const banner = byId("banner");
    banner.hidden = !text;
    banner.dataset.kind = kind;
    byId("banner-text").textContent = text;
    this.#retry.hidden = !canRetry;
  }
}

function many(number, thing) {
  return `${number} ${thing}${number === 1 ? "" : "s"}`;
}

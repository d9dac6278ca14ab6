import { Channel } from "./channel.js";
import { Consoles } from "./consoles.js";
import { Controls } from "./controls.js";
import { Figures } from "./figures.js";
import { MachineState } from "./machineState.js";
import { byId } from "./element.js";
import { themeButton } from "./themeButton.js";

themeButton(byId("theme"));
const controls = new Controls();
const consoles = new Consoles();
const figures = new Figures();
const state = new MachineState(() => channel.open());
let hasEnded = false;

// The socket of the figures leads: it says what the machine has and whether the server is there; the others follow it.
const channel = new Channel("/figures", {
  received(data) {
    const frame = JSON.parse(data);
    state.show(frame);
    controls.show(frame.state, frame.name);
    figures.add(frame);
    if (hasEnded) return;
    consoles.connect(frame);
    hasEnded = frame.state === "ended";
    if (hasEnded) consoles.settle();
  },
  lost(wait) {
    figures.interrupt();
    if (hasEnded) {
      channel.close();
      controls.show("gone");
      consoles.disconnect("Ended");
      return;
    }

    controls.show("connecting");
    consoles.disconnect("Connection lost");
    state.lost(wait);
    askWhetherRefused();
  },
});
channel.open();

// A WebSocket does not say why it was not opened; a request does.
async function askWhetherRefused() {
  try {
    if ((await fetch("/", { method: "HEAD", cache: "no-store" })).status !== 403) return;
    channel.close();
    state.refused();
  } catch {
    // The server is not there.
  }
}

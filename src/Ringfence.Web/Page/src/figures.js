import { byId, element } from "./element.js";
import { Figure } from "./figure.js";
import { bytes, count, words } from "./format.js";
import { History } from "./history.js";

const MOST_REASONS = 5;
const OTHERS = 6;

/** The live figures: instructions and exits a second, RAM touched, traffic of the disks. */
export class Figures {
  #history = new History();
  #reasons = new Reasons();
  #figures = [
    new Figure(byId("figure-instructions"), {
      title: "Instructions a second",
      format: count,
      value: sample => count(sample.instructions ?? 0),
      series: () => [{ name: "instructions", colour: 1, of: sample => sample.instructions }],
      empty: frame => (frame.instructions === null ? ["This engine runs guest code without counting it; ", element("code", { textContent: "--count-instructions" }), " makes it count."] : null),
    }),
    new Figure(byId("figure-exits"), {
      title: "Exits to the monitor a second",
      format: count,
      stacked: true,
      value: sample => count(total(sample)),
      series: samples => this.#reasons.series(samples),
    }),
    new Figure(byId("figure-memory"), {
      title: "RAM touched",
      format: bytes,
      base: 1024,
      value: sample => bytes(sample.touched),
      remark: frame => `of ${bytes(frame.memoryBytes)}`,
      top: frame => frame.memoryBytes,
      series: () => [{ name: "touched", colour: 3, of: sample => sample.touched }],
    }),
    new Figure(byId("figure-disks"), {
      title: "Disk traffic a second",
      format: bytes,
      base: 1024,
      value: sample => bytes(sample.read + sample.written),
      series: () => [{ name: "read", colour: 1, of: sample => sample.read }, { name: "written", colour: 2, of: sample => sample.written }],
      empty: frame => (frame.drives.length === 0 ? ["This machine has no disks."] : null),
    }),
  ];

  /** Takes what the server has measured. */
  add(frame) {
    this.#history.add(frame, performance.now() / 1000);
    for (const figure of this.#figures) figure.update(this.#history.samples, frame);
  }

  /** The server is gone. */
  interrupt() {
    this.#history.interrupt();
  }
}

/** Which reasons have a colour of their own: the most frequent ones of what is seen. A reason keeps its colour as long as it is among them. */
class Reasons {
  #slots = new Array(MOST_REASONS).fill(null);

  series(samples) {
    const sums = {};
    for (const sample of samples) {
      for (const [reason, rate] of Object.entries(sample.exits)) sums[reason] = (sums[reason] ?? 0) + rate;
    }

    const most = Object.keys(sums).filter(reason => sums[reason] > 0).sort((a, b) => sums[b] - sums[a]).slice(0, MOST_REASONS);
    this.#slots = this.#slots.map(reason => (most.includes(reason) ? reason : null));
    for (const reason of most.filter(one => !this.#slots.includes(one))) this.#slots[this.#slots.indexOf(null)] = reason;
    const own = this.#slots.map((reason, index) => ({ reason, colour: index + 1 })).filter(slot => slot.reason);
    const series = own.map(({ reason, colour }) => ({ name: words(reason), colour, of: sample => sample.exits[reason] ?? 0 }));
    const rest = sample => Object.entries(sample.exits).reduce((sum, [reason, rate]) => sum + (most.includes(reason) ? 0 : rate), 0);
    if (samples.some(sample => rest(sample) > 0)) series.push({ name: "other reasons", colour: OTHERS, of: rest });
    return series;
  }
}

function total(sample) {
  return Object.values(sample.exits).reduce((sum, rate) => sum + rate, 0);
}

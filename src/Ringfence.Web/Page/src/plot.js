import { WINDOW } from "./history.js";

const SVG = "http://www.w3.org/2000/svg";
const HEIGHT = 100;

/**
 * A plot of the last minute. Its coordinates are seconds and per cent, stretched over whatever size the element has; strokes and text
 * keep theirs.
 */
export class Plot {
  #svg = document.createElementNS(SVG, "svg");
  #cursor = document.createElementNS(SVG, "line");
  #paths = [];
  #samples = [];

  /** hovered(sample): the pointer is over one; null when it has left. */
  constructor(parent, hovered) {
    this.#svg.setAttribute("viewBox", `0 0 ${WINDOW} ${HEIGHT}`);
    this.#svg.setAttribute("preserveAspectRatio", "none");
    this.#svg.setAttribute("role", "img");
    this.#cursor.setAttribute("class", "cursor");
    this.#cursor.setAttribute("y2", String(HEIGHT));
    this.#svg.append(this.#cursor);
    parent.append(this.#svg);
    this.#svg.addEventListener("pointermove", event => hovered(this.#at(event)));
    this.#svg.addEventListener("pointerleave", () => hovered(null));
  }

  /** What is read aloud instead of the plot. */
  set label(text) {
    this.#svg.setAttribute("aria-label", text);
  }

  /** Draws series, each { colour: 1 to 6, of: sample => number or null }, as bars stacked upon each other or as lines; top is the axis' end. */
  draw(samples, series, { top, stacked }) {
    this.#samples = samples;
    while (this.#paths.length > series.length) this.#paths.pop().remove();
    while (this.#paths.length < series.length) {
      const path = document.createElementNS(SVG, "g");
      path.append(document.createElementNS(SVG, "path"), document.createElementNS(SVG, "path"));
      this.#svg.insertBefore(path, this.#cursor);
      this.#paths.push(path);
    }

    const below = new Map();
    series.forEach((one, index) => {
      const group = this.#paths[index];
      group.setAttribute("class", `${stacked ? "stacked" : "line"} s${one.colour}`);
      const [area, edge] = group.children;
      area.setAttribute("class", "area");
      edge.setAttribute("class", "edge");
      const runs = this.#runs(one.of);
      area.setAttribute("d", stacked ? this.#bars(runs.flat(), below, top) : runs.map(run => `${this.#line(run, top)}V${HEIGHT}H${this.#x(run[0][0])}z`).join(""));
      edge.setAttribute("d", stacked ? "" : runs.map(run => this.#line(run, top)).join(""));
    });
  }

  /** Marks a sample; null takes the mark away. */
  mark(sample) {
    this.#cursor.classList.toggle("on", sample !== null);
    if (!sample) return;
    for (const end of ["x1", "x2"]) this.#cursor.setAttribute(end, this.#x(sample));
  }

  #x(sample) {
    return round(WINDOW - (this.#samples.at(-1).at - sample.at));
  }

  #line(run, top) {
    return run.map(([sample, value], index) => `${index ? "L" : "M"}${this.#x(sample)} ${y(value, top)}`).join("");
  }

  /** A bar for each sample, as wide as the second it tells of, upon those of the series before. */
  #bars(points, below, top) {
    return points.filter(([, value]) => value > 0).map(([sample, value]) => {
      const from = below.get(sample) ?? 0;
      below.set(sample, from + value);
      return `M${this.#x(sample)} ${y(from, top)}h-0.9V${y(from + value, top)}h0.9z`;
    }).join("");
  }

  /** The samples that have a value, parted where there is a break. */
  #runs(of) {
    const runs = [];
    let run = null;
    for (const sample of this.#samples) {
      const value = of(sample);
      if (value === null) {
        run = null;
        continue;
      }

      if (!run || sample.breaks) runs.push(run = []);
      run.push([sample, value]);
    }

    return runs;
  }

  #at(event) {
    const box = this.#svg.getBoundingClientRect();
    const newest = this.#samples.at(-1);
    if (!newest || box.width === 0) return null;
    const at = newest.at - WINDOW * (1 - (event.clientX - box.left) / box.width);
    const nearest = this.#samples.reduce((best, sample) => (Math.abs(sample.at - at) < Math.abs(best.at - at) ? sample : best));
    return Math.abs(nearest.at - at) < WINDOW / 30 ? nearest : null;
  }
}

function y(value, top) {
  return round(HEIGHT * (1 - Math.min(value / top, 1)));
}

function round(value) {
  return Math.round(value * 100) / 100;
}

import { element } from "./element.js";
import { ceiling } from "./format.js";
import { Plot } from "./plot.js";

/**
 * One figure: what it is, its value now (or where the pointer is), a plot, and a legend if there are several series. Its definition:
 * title; value(sample); remark(frame): small print behind the value; format(number); series(samples, frame): { name, colour, of(sample) }; stacked; base of the axis' numbers;
 * top(frame): a fixed end of the axis; empty(frame): why there is nothing to see, as nodes and strings, or null.
 */
export class Figure {
  #definition;
  #parts;
  #plot;
  #hovered = null;
  #samples = [];
  #frame = null;

  constructor(section, definition) {
    this.#definition = definition;
    const part = (tag, name) => element(tag, { className: name });
    this.#parts = { value: part("p", "value"), when: part("p", "when quiet"), body: part("div", "plot"), top: part("span", "top quiet"), legend: part("ul", "legend"), empty: part("p", "none quiet") };
    const { value, when, body, top, legend, empty } = this.#parts;
    const title = element("h3", { id: `${section.id}-title`, textContent: definition.title });
    section.setAttribute("aria-labelledby", title.id);
    this.#plot = new Plot(body, sample => {
      this.#hovered = sample;
      this.#show();
    });
    body.append(top);
    section.append(element("div", { className: "head" }, title, when), value, body, legend, empty);
    value.textContent = "–";
    legend.hidden = empty.hidden = true;
  }

  /** Shows what is known now. */
  update(samples, frame) {
    this.#samples = samples;
    this.#frame = frame;
    if (!samples.includes(this.#hovered)) this.#hovered = null;
    this.#show();
  }

  #show() {
    const { title, value, remark, format, series, stacked = false, base = 1000, top, empty } = this.#definition;
    const parts = this.#parts;
    const nothing = this.#frame ? empty?.(this.#frame) ?? null : null;
    parts.empty.hidden = nothing === null;
    parts.value.hidden = parts.body.hidden = nothing !== null;
    if (nothing !== null) {
      parts.empty.replaceChildren(...nothing);
      parts.legend.hidden = true;
      return;
    }

    const newest = this.#samples.at(-1);
    if (!newest) return;
    const shown = this.#hovered ?? newest;
    const lines = series(this.#samples, this.#frame);
    const most = Math.max(...this.#samples.map(sample => (stacked ? lines.reduce((sum, line) => sum + line.of(sample), 0) : Math.max(...lines.map(line => line.of(sample) ?? 0)))));
    const end = top?.(this.#frame) ?? ceiling(most, base);
    this.#plot.draw(this.#samples, lines, { top: end, stacked });
    this.#plot.mark(this.#hovered);
    parts.top.textContent = most > 0 && !top ? format(end).replace(/\.0+(?= )/, "") : "";
    parts.value.replaceChildren(value(shown), ...(remark ? [element("small", { textContent: ` ${remark(this.#frame)}` })] : []));
    parts.when.textContent = this.#hovered ? `${Math.round(newest.at - shown.at)} s ago` : "";
    this.#plot.label = `${title} over the last minute: now ${value(newest)}, at most ${format(most)}`;
    parts.legend.hidden = lines.length < 2;
    parts.legend.replaceChildren(...lines.map(line => element("li", { className: `s${line.colour}` }, element("span", { textContent: line.name }), element("b", { textContent: format(line.of(shown)) }))));
  }
}

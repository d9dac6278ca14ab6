/** Seconds that the plots show. */
export const WINDOW = 60;

const LEAST_INTERVAL = 0.5;

/** What was measured in the last minute: rates, made of the totals since power-on that the server sends. */
export class History {
  /**
   * Oldest first. at: seconds of this page's clock; breaks: nothing is known of the time before; instructions, exits (by reason), read,
   * written: a second; touched: bytes.
   */
  samples = [];

  #last = null;

  /** The newest sample; null if there is none. */
  get newest() {
    return this.samples.at(-1) ?? null;
  }

  /** Takes a frame of totals. Those that are sent between the seconds, because the state has changed, wait for the next one. */
  add(frame, now) {
    const last = this.#last;
    if (last && now - last.now < LEAST_INTERVAL) return;
    this.#last = { frame, now };
    if (!last) return;
    const goesBack = frame.time < last.frame.time;
    if (goesBack) this.samples = [];
    // While the machine is paused its time stands still and it does nothing.
    const seconds = frame.time - last.frame.time;
    const rate = (after, before) => (seconds > 0.02 ? Math.max(0, (after ?? 0) - (before ?? 0)) / seconds : 0);
    const drives = (of, member) => of.drives.reduce((sum, drive) => sum + drive[member], 0);
    this.samples.push({
      at: now,
      breaks: last.broken || goesBack || this.samples.length === 0,
      instructions: frame.instructions === null ? null : rate(frame.instructions, last.frame.instructions),
      exits: Object.fromEntries(Object.entries(frame.exits).map(([reason, total]) => [reason, rate(total, last.frame.exits[reason])])),
      touched: frame.touchedBytes,
      read: rate(drives(frame, "readBytes"), drives(last.frame, "readBytes")),
      written: rate(drives(frame, "writtenBytes"), drives(last.frame, "writtenBytes")),
    });
    while (this.samples[0].at < now - WINDOW - 2) this.samples.shift();
  }

  /** The server is gone: what comes next does not continue what was. */
  interrupt() {
    if (this.#last) this.#last.broken = true;
  }
}

const FIRST = 500;
const LONGEST = 15_000;

/** How long to wait before the next attempt: twice as long each time, a little different for each client, 15 seconds at most. */
export class Backoff {
  #attempts = 0;

  /** Milliseconds to wait now. */
  next() {
    const wait = Math.min(FIRST * 2 ** this.#attempts++, LONGEST);
    return wait * (0.75 + Math.random() / 4);
  }

  /** An attempt has succeeded. */
  reset() {
    this.#attempts = 0;
  }
}

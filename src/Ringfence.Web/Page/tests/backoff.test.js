import assert from "node:assert/strict";
import { test } from "node:test";
import { Backoff } from "../src/backoff.js";

test("Attempts come later and later, never later than 15 seconds, and soon again after a success", () => {
  const backoff = new Backoff();
  const waits = Array.from({ length: 12 }, () => backoff.next());
  assert.ok(waits[0] <= 500);
  assert.ok(waits[3] > waits[0]);
  assert.ok(waits.every(wait => wait <= 15_000));
  backoff.reset();
  assert.ok(backoff.next() <= 500);
});

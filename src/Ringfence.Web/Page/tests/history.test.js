import assert from "node:assert/strict";
import { test } from "node:test";
import { History, WINDOW } from "../src/history.js";

const frame = (time, changes = {}) => ({ time, instructions: 0, exits: {}, touchedBytes: 0, drives: [], ...changes });

test("Totals become rates by the machine's own time", () => {
  const history = new History();
  history.add(frame(10, { instructions: 1000, exits: { Halt: 4 }, drives: [{ readBytes: 0, writtenBytes: 8 }] }), 1);
  assert.equal(history.newest, null);
  history.add(frame(12, { instructions: 5000, exits: { Halt: 8, PortIo: 2 }, touchedBytes: 77, drives: [{ readBytes: 64, writtenBytes: 8 }] }), 2);
  assert.deepEqual(history.newest, { at: 2, breaks: true, instructions: 2000, exits: { Halt: 2, PortIo: 1 }, touched: 77, read: 32, written: 0 });
});

test("A paused machine does nothing", () => {
  const history = new History();
  history.add(frame(5, { instructions: 100 }), 1);
  history.add(frame(5, { instructions: 100 }), 2);
  assert.equal(history.newest.instructions, 0);
});

test("Frames between the seconds wait for the next one", () => {
  const history = new History();
  history.add(frame(1), 1);
  history.add(frame(1.1, { instructions: 100 }), 1.1);
  assert.equal(history.newest, null);
  history.add(frame(2, { instructions: 500 }), 2);
  assert.equal(history.newest.instructions, 500);
});

test("What is not counted is not a rate", () => {
  const history = new History();
  history.add(frame(1, { instructions: null }), 1);
  history.add(frame(2, { instructions: null }), 2);
  assert.equal(history.newest.instructions, null);
});

test("A machine that is younger than before is another one", () => {
  const history = new History();
  for (let second = 1; second <= 3; second++) history.add(frame(second, { instructions: second * 1000 }), second);
  history.add(frame(0.5, { instructions: 10 }), 4);
  assert.equal(history.samples.length, 1);
  assert.equal(history.newest.instructions, 0);
  assert.equal(history.newest.breaks, true);
});

test("What comes after an interruption does not continue what was before it", () => {
  const history = new History();
  for (let second = 1; second <= 2; second++) history.add(frame(second), second);
  history.interrupt();
  history.add(frame(9), 9);
  history.add(frame(10), 10);
  assert.deepEqual(history.samples.map(sample => sample.breaks), [true, true, false]);
});

test("What is older than the plots show is forgotten", () => {
  const history = new History();
  for (let second = 0; second <= 3 * WINDOW; second++) history.add(frame(second), second);
  assert.ok(history.samples.length <= WINDOW + 3);
  assert.equal(history.newest.at, 3 * WINDOW);
});

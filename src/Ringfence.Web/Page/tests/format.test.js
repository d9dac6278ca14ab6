import assert from "node:assert/strict";
import { test } from "node:test";
import { bytes, ceiling, count, duration, words } from "../src/format.js";

test("A count has the digits that matter", () => {
  const cases = { 0: "0", 7: "7", 0.44: "0.4", 12.34: "12.3", 123.4: "123", 999: "999", 999.8: "1.00 k", 1234: "1.23 k", 12345: "12.3 k", 999_999: "1.00 M", 512e6: "512 M", 3.2e9: "3.20 G", 5e15: "5000 T" };
  for (const [value, text] of Object.entries(cases)) assert.equal(count(Number(value)), text);
});

test("Memory is counted in powers of two", () => {
  assert.deepEqual([0, 512, 1024, 1536 * 1024, 256 << 20, 2 ** 31].map(bytes), ["0 B", "512 B", "1.00 KiB", "1.50 MiB", "256 MiB", "2.00 GiB"]);
});

test("An axis ends at or above what it shows, at a round number of its unit", () => {
  assert.deepEqual([0, 0.03, 1, 3, 7, 120, 501, 1001].map(value => ceiling(value)), [1, 0.05, 1, 5, 10, 200, 1000, 2000]);
  assert.deepEqual([3, 700, 1025, 600 * 1024].map(value => ceiling(value, 1024)), [5, 1024, 2048, 1 << 20]);
});

test("A duration is read at a glance", () => {
  assert.deepEqual([0, 59.9, 60, 187, 3753].map(duration), ["0 s", "59 s", "1:00", "3:07", "1:02:33"]);
});

test("A name of the library becomes words", () => {
  assert.deepEqual(["TlbFill", "PortIo", "Mmio", "PrivilegedInstruction", "PowerOff"].map(words), ["TLB fill", "port I/O", "MMIO", "privileged instruction", "power off"]);
});

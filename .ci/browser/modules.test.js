// The page's own modules, in the browser that runs them.

import assert from "node:assert/strict";
import { test } from "node:test";

import { setUp } from "./server.js";

const shared = setUp();

/** Runs a function in a page of the playground. */
async function inPage(task, argument) {
  const playground = await shared.start();
  const found = await playground.page.evaluate(task, argument);
  await playground.close();
  return found;
}

test("what two texts have in common", async () => {
  const common = (ours, theirs) => inPage(async ([ours, theirs]) => {
    const { common } = await import("/playground/difference.js");
    return common(ours.split(" "), theirs.split(" ")).map((set) => [...set]);
  }, [ours, theirs]);
  assert.deepEqual(await common("a b c", "a b c"), [[0, 1, 2], [0, 1, 2]]);
  assert.deepEqual(await common("a x c", "a b y c"), [[0, 2], [0, 3]]);
  assert.deepEqual(await common("x", "y"), [[], []]);
});

test("a quality's marks are the points that it can choose", async () => {
  const marks = await inPage(async () => {
    const { operatingPoints } = await import("/playground/quality.js");
    const point = (retention_low, macs) => ({ retention_low, macs, macs_full: 100 });
    return operatingPoints([point(1.01, 80), point(0.9, 30), point(0.9, 30), point(0.89, 40), point(1, 100)]);
  });
  assert.deepEqual(marks, [{ quality: 0.9, cost: 0.3 }, { quality: 1, cost: 0.8 }]);
});

test("a slider of thresholds goes both ways", async () => {
  const found = await inPage(async () => {
    const { Threshold } = await import("/playground/threshold.js");
    const threshold = new Threshold("image", "Image");
    const places = Array.from({ length: 101 }, (_, place) => {
      threshold.input.value = place;
      const { value } = threshold;
      threshold.value = value;
      return [value, threshold.input.valueAsNumber];
    });
    return places;
  });
  assert.deepEqual(found.map(([, place]) => place), found.map((_, place) => place));
  const values = found.slice(0, -1).map(([value]) => value);
  assert.deepEqual(values, [...values].sort((a, b) => a - b));
  assert.equal(values[0], -1);
  assert.equal(found.at(-1)[0], null);
});

test("numbers in words", async () => {
  const words = await inPage(async () => {
    const { macs, ms, percent, layer, plural } = await import("/playground/format.js");
    return [macs(67196416), macs(6.12e10), macs(12), macs(999.7e6), ms(999.7), ms(4.26), ms(42.6), ms(1183), percent(0.2227), layer(4), layer(4.6), plural(1, "word"), plural(2, "word")];
  });
  assert.deepEqual(words, ["67.2 M", "61.2 G", "12.0", "1.00 G", "1.00 s", "4.3 ms", "43 ms", "1.18 s", "22 %", "4", "4.6", "1 word", "2 words"]);
});

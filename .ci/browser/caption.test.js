// Captions: the tokens are the server's, and exits move them.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";

import { setUp } from "./server.js";

const shared = setUp();

/** What the server says of a sample, without the page. */
async function answer(fields) {
  const sample = await fetch(`${shared.url}/playground/samples/scene-024.png`);
  const form = new FormData();
  form.append("image", await sample.blob(), "scene.png");
  for (const [name, value] of Object.entries(fields)) form.append(name, value);
  const response = await fetch(`${shared.url}/v1/caption`, { method: "POST", body: form });
  return (await response.json()).results[0];
}

/** A form on its way to the server; it can only be read where it is held up. */
function form(route) {
  return route.request().postDataBuffer().toString("latin1");
}

test("the page shows the server's tokens at the server's layers", async () => {
  const playground = await shared.start();
  for (const [list, exit] of [["#early-tokens", "auto"], ["#full-tokens", "off"]]) {
    const { exit: { decoder } } = await answer({ exit });
    const shown = (await playground.tokens(list)).map(({ word, layer }) => [word, layer]);
    assert.deepEqual(shown, decoder.tokens.map(({ text, layer }) => [text.trim(), layer]));
  }
  await playground.close();
});

test("tokens are streamed and full depth is asked after them", async () => {
  const playground = await shared.open();
  const asked = [];
  await playground.page.route("**/v1/caption", (route) => {
    asked.push(form(route));
    return route.continue();
  });
  await playground.start();
  assert.equal(asked.length, 2);
  assert.match(asked[0], /name="stream"\r\n\r\ntrue/);
  assert.match(asked[1], /name="exit"\r\n\r\noff/);
  await playground.close();
});

test("a layer has one colour, and another layer another", async () => {
  const playground = await shared.start();
  await playground.mode("thresholds");
  const seen = new Map();
  for (const key of ["Home", "End"]) {
    await playground.slide("decoder", key);
    await playground.settled();
    for (const { layer, colour } of await playground.tokens()) {
      assert.equal(seen.get(layer) ?? colour, colour);
      seen.set(layer, colour);
    }
  }
  const legend = await playground.page.$$eval("#panel-caption .legend li", (entries) =>
    entries.map((entry) => [Number(entry.textContent), getComputedStyle(entry).backgroundColor]));
  const colours = new Map(legend);
  assert.equal(new Set(colours.values()).size, legend.length);
  for (const [layer, colour] of seen) assert.equal(colour, colours.get(layer));
  await playground.close();
});

test("sliders move the layers of their branch", async () => {
  const playground = await shared.start();
  await playground.mode("thresholds");
  const every = (layer) => (layers) => layers.length > 0 && layers.every((other) => other === layer);
  await playground.slide("decoder", "Home");
  const first = await playground.layers();
  assert(every(1)(first), `${first}`);
  await playground.slide("decoder", "End");
  const [{ layers }] = await playground.tokens();
  assert(every(layers)(await playground.layers()));
  await playground.slide("image", "Home");
  assert.match(await playground.branch("image"), /^1 of /);
  await playground.slide("image", "End");
  assert.equal(await playground.branch("image"), `${layers} of ${layers}`);
  await playground.close();
});

test("thresholds begin where something leaves, and the text has one where there is one to encode", async () => {
  const playground = await shared.start();
  const { page } = playground;
  const texts = (selector) => page.$$eval(selector, (all) => all.map((one) => one.textContent));
  await playground.mode("thresholds");
  await playground.captioned();
  assert.deepEqual(await texts("#thresholds label"), ["Image", "Decoder"]);
  for (const place of await texts("#thresholds output")) assert.match(place, /^above 0\.\d+$/);
  assert(Number.parseInt(await page.textContent(".savings .big"), 10) > 0);
  await page.click("#tab-entailment");
  await playground.judged();
  assert.deepEqual(await texts("#thresholds label"), ["Image", "Text", "Decoder"]);
  await page.press("#threshold-text", "Home");
  await playground.judged();
  await page.click("#tab-caption");
  await page.click("#tab-entailment");
  assert.equal((await texts("#thresholds output"))[1], "at once", "a task keeps its own");
  await playground.close();
});

test("a question that is pending when its tab is left is asked on return, with its own exits", async () => {
  const playground = await shared.start();
  const { page } = playground;
  await playground.mode("thresholds");
  await playground.captioned();
  const asked = [];
  await page.route("**/v1/caption", (route) => {
    asked.push(form(route));
    return route.continue();
  });
  await page.evaluate(() => {
    const slider = document.getElementById("threshold-decoder");
    slider.value = 0;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    document.getElementById("tab-entailment").click();
    // Begins after the page's own timer and lasts longer.
    return new Promise((resolve) => { setTimeout(resolve, 200); });
  });
  await playground.judged();
  assert.deepEqual(asked, []);
  await page.click("#tab-caption");
  await playground.captioned();
  assert.equal(asked.length, 1, "full depth is known");
  assert.match(asked[0], /"decoder":-1/);
  assert.doesNotMatch(asked[0], /"text":/);
  assert((await playground.layers()).every((layer) => layer === 1));
  await playground.close();
});

test("a number that cannot be asked for is said to be, and is not asked", async () => {
  const { models: [{ limits }] } = await (await fetch(`${shared.url}/v1/models`)).json();
  const playground = await shared.start();
  const { page } = playground;
  const asked = [];
  await page.route("**/v1/caption", (route) => {
    asked.push(/name="beam_size"\r\n\r\n(\d+)/.exec(form(route))[1]);
    return route.continue();
  });
  await page.fill("#beam", String(limits.beam_size_max + 1));
  assert.match(await page.textContent("#search-note"), /^Beams: ./);
  assert.equal(await page.getAttribute("#beam", "aria-invalid"), "true");
  await page.fill("#beam", "1");
  await playground.captioned();
  assert.equal(await page.textContent("#search-note"), "");
  assert.deepEqual(new Set(asked), new Set(["1"]));
  await playground.close();
});

test("full depth saves nothing and has the same words", async () => {
  const playground = await shared.start();
  await playground.mode("off");
  await playground.page.waitForSelector(".savings .big:text-is('0 %')");
  assert.equal(await playground.page.textContent("#difference"), "✓ Same words as with exits");
  await playground.close();
});

test("words that differ are marked", async () => {
  const playground = await shared.open();
  // Full depth says another word than it did.
  await playground.page.route("**/v1/caption", async (route) => {
    if (form(route).includes('name="stream"')) return route.continue();
    const response = await route.fetch();
    const json = await response.json();
    json.results[0].exit.decoder.tokens[1].text = " enormous";
    return route.fulfill({ response, json });
  });
  await playground.start();
  const marked = (list) => playground.page.$$eval(`${list} .token`, (tokens) =>
    tokens.flatMap((token, place) => (token.matches(".differs") ? [place] : [])));
  assert.deepEqual(await marked("#early-tokens"), [1]);
  assert.deepEqual(await marked("#full-tokens"), [1]);
  assert.equal(await playground.page.textContent("#difference"), "≠ 1 word of difference");
  await playground.close();
});

test("a quality is one of the calibrated points, or cannot be chosen", async () => {
  const { models: [model] } = await (await fetch(`${shared.url}/v1/models`)).json();
  const playground = await shared.start();
  const quality = playground.page.locator("input[name=mode][value=quality]");
  assert.equal(await quality.isDisabled(), model.exits.caption.calibration.length === 0);
  await playground.close();

  // With points of which one is never chosen.
  const point = (retention_low, macs) => ({ retention_low, macs, macs_full: 100 });
  model.exits.caption.calibration = [point(0.995, 70), point(0.95, 40), point(0.94, 60), point(1, 100)];
  const other = await shared.open();
  await other.page.route("**/v1/models", (route) => route.fulfill({ json: { models: [model] } }));
  const qualities = [];
  await other.page.route("**/v1/caption", (route) => {
    const [, quality] = /{"quality":([\d.]+)}/.exec(form(route)) ?? [];
    if (quality) qualities.push(Number(quality));
    return route.continue();
  });
  await other.start();
  await other.mode("quality");
  assert.deepEqual(await other.page.$$eval("#quality-marks span", (marks) => marks.map((mark) => mark.textContent)), ["95.0 %", "99.5 %"]);
  await other.page.waitForSelector("#panel-caption:not([aria-busy])");
  await other.page.press("#quality-at", "End");
  assert.match(await other.page.textContent("#quality-value"), /99.5 %.*70 %/);
  await other.page.waitForSelector("#panel-caption:not([aria-busy])");
  assert.equal(qualities.at(-1), 0.995);
  // A model without points refuses, which is no business of this check.
  await other.close(["the server responded with a status of 422"]);
});

test("the curl command asks the same", async () => {
  const playground = await shared.start();
  await playground.mode("thresholds");
  await playground.slide("decoder", "Home");
  await playground.page.click("#caption-details summary");
  const command = await playground.page.textContent("#caption-details [data-block=curl]");
  const { results: [result] } = JSON.parse(execFileSync("bash", ["-o", "pipefail", "-c", command]));
  const tokens = result.exit.decoder.tokens.map(({ text, layer }) => [text.trim(), layer]);
  assert.deepEqual(tokens, (await playground.tokens()).map(({ word, layer }) => [word, layer]));
  await playground.close();
});

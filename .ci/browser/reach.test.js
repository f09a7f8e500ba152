// For everybody: by keyboard, by ear, on a phone, in the dark, without motion.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";

import { setUp } from "./server.js";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const PHONE = { viewport: { width: 375, height: 812 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true };

const shared = setUp();

async function entailment(playground) {
  await playground.page.click("#tab-entailment");
  await playground.judged();
}

test("everything can be reached and used by keyboard, and focus is seen", async () => {
  const playground = await shared.start();
  const { page } = playground;
  const press = (key) => page.keyboard.press(key);
  const focused = () => page.evaluate(() => {
    const { activeElement: element } = document;
    // Hidden inputs show their focus on what is painted for them.
    const seen = element.matches(".segments input, .pick input") ? element.nextElementSibling : element;
    return { id: element.id, name: element.value, outline: getComputedStyle(seen).outlineStyle };
  });
  const tabTo = async (wanted) => {
    for (let presses = 0; presses < 30; presses++) {
      await press("Tab");
      const { id, outline } = await focused();
      assert.notEqual(outline, "none", `no focus is seen on #${id}`);
      if (id === wanted) return;
    }
    assert.fail(`#${wanted} is not reached by Tab`);
  };
  await press("Tab");
  assert.match(await page.evaluate(() => document.activeElement.textContent), /Skip/);
  await tabTo("file");
  await press("Tab");
  await press("Tab");
  await press("Enter"); // the second sample
  await page.waitForSelector("#picture-name:text-is('scene-020.png')");
  await playground.captioned();
  await tabTo("tab-caption");
  await press("Tab"); // the checked exit mode
  await press("ArrowLeft"); // from the first around to the last
  assert.equal((await focused()).name, "thresholds");
  await tabTo("threshold-decoder");
  await press("Home");
  await playground.captioned();
  assert((await playground.layers()).every((layer) => layer === 1));
  await page.focus("#tab-caption");
  await press("ArrowRight");
  assert.equal((await focused()).id, "tab-entailment");
  await playground.judged();
  await tabTo("add");
  await press("Enter");
  await page.keyboard.type("there is a large blue ring");
  await page.waitForSelector(".hypothesis:nth-child(4) .verdict:not([hidden])");
  await press("Tab");
  await press("Space"); // removes it
  assert.equal(await page.locator(".hypothesis").count(), 3);
  await playground.close();
});

test("what has happened is told, and once", async () => {
  const playground = await shared.start();
  const { page } = playground;
  const caption = (await playground.tokens()).map(({ word }) => word);
  const told = await page.textContent("#status");
  for (const word of caption) assert(told.includes(word), told);
  assert.match(told, /\d+ % of the compute saved/);
  assert.equal(await page.getAttribute("#status", "role"), "status");
  await entailment(playground);
  assert.match(await page.textContent("#status"), /entailment|neutral|contradiction/);
  await playground.mode("thresholds");
  assert.match(await page.getAttribute("#threshold-decoder", "aria-valuetext"), /similarity|layer|depth/);
  await playground.close();
});

test("no width of a phone scrolls sideways", async () => {
  for (const width of [320, 375, 768]) {
    const playground = await shared.start({ ...PHONE, viewport: { width, height: 812 } });
    await playground.mode("thresholds");
    await playground.page.click("#caption-details summary");
    assert(await playground.overflow() <= 0, `captions at ${width}`);
    await entailment(playground);
    await playground.page.click("#entailment-details summary");
    assert(await playground.overflow() <= 0, `entailment at ${width}`);
    await playground.close();
  }
});

test("dark and light are as the system has it", async () => {
  const ground = async (colorScheme) => {
    const playground = await shared.start({ colorScheme });
    const colour = await playground.page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    await playground.shoot(`caption-${colorScheme}`);
    await entailment(playground);
    await playground.shoot(`entailment-${colorScheme}`, true);
    await playground.close();
    return Number(/oklch\(([\d.]+)/.exec(colour)[1]);
  };
  assert(await ground("dark") < 0.3);
  assert(await ground("light") > 0.9);
});

test("nothing moves for those who do not want it", async () => {
  const playground = await shared.start({ reducedMotion: "reduce" });
  await playground.mode("thresholds");
  await playground.slide("decoder", "Home");
  assert.equal(await playground.page.evaluate(() => document.getAnimations().length), 0);
  await playground.close();
});

test("axe finds nothing serious", async () => {
  for (const [name, options] of [
    ["light", { colorScheme: "light" }],
    ["dark", { colorScheme: "dark" }],
    ["phone", PHONE],
  ]) {
    // axe is put into the page, which the page's policy is there to prevent.
    const playground = await shared.start({ ...options, bypassCSP: true, reducedMotion: "reduce" });
    await playground.page.addScriptTag({ content: AXE });
    await playground.mode("thresholds");
    // Every colour of the scale.
    for (const key of ["Home", "ArrowRight", "End"]) {
      await playground.slide("decoder", key);
      await sound(playground, `captions, ${name}, ${key}`);
    }
    await playground.page.click("#caption-details summary");
    await playground.shoot(`caption-thresholds-${name}`, true);
    await entailment(playground);
    await playground.page.click("#entailment-details summary");
    await sound(playground, `entailment, ${name}`);
    if (name === "phone") await playground.shoot("entailment-phone", true);
    await playground.page.setInputFiles("#file", { name: "no.png", mimeType: "image/png", buffer: Buffer.from("no") });
    await playground.page.waitForSelector("#entailment-problem:not([hidden])");
    await sound(playground, `a problem, ${name}`);
    await playground.close(["the server responded with a status of 422"]);
  }
});

async function sound(playground, where) {
  const violations = await playground.page.evaluate(async () => (await window.axe.run()).violations);
  const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  const told = serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
  assert.deepEqual(told, [], where);
}

test("chosen colours leave what the layers' colours say, and what is chosen has an edge", async () => {
  const playground = await shared.start({ forcedColors: "active" });
  const { page } = playground;
  await playground.mode("thresholds");
  await playground.captioned();
  const card = await page.$eval(".card", (card) => getComputedStyle(card).backgroundColor);
  for (const { word, colour } of await playground.tokens()) assert.notEqual(colour, card, word);
  for (const chosen of ["input:checked + span", "[aria-selected=true]", "[aria-pressed=true]"]) {
    assert.equal(await page.$eval(chosen, (one) => getComputedStyle(one).outlineStyle), "solid", chosen);
  }
  await playground.close();
});

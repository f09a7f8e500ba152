// Entailment: sentences, verdicts, exits.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";

import { setUp } from "./server.js";

const shared = setUp();

async function open() {
  const playground = await shared.start();
  await playground.page.click("#tab-entailment");
  await playground.judged();
  return playground;
}

/** Every hypothesis and what stands below it. */
function verdicts(playground) {
  return playground.page.$$eval(".hypothesis", (rows) => rows.map((row) => ({
    text: row.querySelector("input").value,
    label: row.querySelector(".label")?.lastChild.textContent,
    scores: [...row.querySelectorAll(".scores dd:not(.probability)")].map((score) => score.textContent),
    decoder: row.querySelector("[data-branch=decoder] dd")?.textContent,
  })));
}

test("every hypothesis has a label with three probabilities, as the server says", async () => {
  const playground = await open();
  await playground.page.click("#entailment-details summary");
  const { results } = JSON.parse(await playground.page.textContent("#entailment-details [data-block=JSON]"));
  const shown = await verdicts(playground);
  assert.equal(shown.length, 3);
  const percent = (share) => `${(100 * share).toFixed(0)} %`;
  assert.deepEqual(shown, results.map(({ hypothesis, label, scores, exit: { decoder } }) => ({
    text: hypothesis,
    label,
    scores: ["entailment", "neutral", "contradiction"].map((name) => percent(scores[name])),
    decoder: `${decoder.mean_layer} of ${decoder.layers}`,
  })));
  await playground.close();
});

test("hypotheses come, go, and are judged as they are typed", async () => {
  const playground = await open();
  const { page } = playground;
  await page.click("#add");
  assert.equal(await page.evaluate(() => document.activeElement.getAttribute("aria-label")), "Hypothesis 4");
  await page.keyboard.type("there is a large yellow cross");
  await page.waitForSelector(".hypothesis:nth-child(4) .verdict:not([hidden])");
  await page.click(".hypothesis:nth-child(1) .remove");
  await playground.judged();
  const shown = await verdicts(playground);
  assert.equal(shown.length, 3);
  assert.equal(shown[2].text, "there is a large yellow cross");
  // They are numbered anew.
  const names = (selector) => page.$$eval(selector, (all) => all.map((one) => one.getAttribute("aria-label")));
  assert.deepEqual(await names(".hypothesis input"), ["Hypothesis 1", "Hypothesis 2", "Hypothesis 3"]);
  assert.equal((await names(".remove"))[2], "Remove hypothesis 3");
  // Own sentences outlive the next sample.
  await playground.sample("scene-020.png");
  await playground.judged();
  assert.equal((await verdicts(playground))[2].text, "there is a large yellow cross");
  await playground.close();
});

test("a sentence that looks like a list is one sentence", async () => {
  const playground = await open();
  const { page } = playground;
  const odd = '["there is a large blue ring", "there is a red circle"]';
  await page.fill(".hypothesis:nth-child(1) input", odd);
  await page.waitForFunction((odd) => document.querySelector("#entailment-details").textContent.includes(odd),
    JSON.stringify(odd).slice(1, -1));
  await playground.judged();
  await page.click("#entailment-details summary");
  const { results } = JSON.parse(await page.textContent("#entailment-details [data-block=JSON]"));
  const shown = await verdicts(playground);
  assert.deepEqual(results.map(({ hypothesis, label }) => [hypothesis, label]), shown.map(({ text, label }) => [text, label]));
  await playground.close();
});

test("a premise is asked for where the model reads one", async () => {
  const { models: [model] } = await (await fetch(`${shared.url}/v1/models`)).json();
  for (const reads of [false, true]) {
    const playground = await shared.open();
    const { page } = playground;
    const asked = [];
    const models = [{ ...model, reads_premise: reads }];
    await page.route("**/v1/models", (route) => route.fulfill({ json: { models } }));
    await page.route("**/v1/entailment", (route) => {
      asked.push(route.request().postDataBuffer().toString("latin1").includes("a picture of shapes"));
      return route.continue();
    });
    await playground.start();
    await page.click("#tab-entailment");
    await playground.judged();
    assert.equal(await page.isVisible("#premise"), reads);
    if (reads) {
      const answered = page.waitForResponse("**/v1/entailment");
      await page.fill("#premise", "a picture of shapes");
      await answered;
    }
    assert.equal(asked.at(-1), reads);
    await playground.close();
  }
});

test("sliders move the layer of the verdict", async () => {
  const playground = await open();
  const { page } = playground;
  await playground.mode("thresholds");
  const after = async (key) => {
    await page.press("#threshold-decoder", key);
    await playground.judged();
    return (await verdicts(playground)).map(({ decoder }) => decoder);
  };
  assert((await after("Home")).every((layer) => layer.startsWith("1 of ")));
  assert((await after("End")).every((layer) => /^(\d+) of \1$/.test(layer)));
  await playground.close();
});

test("the curl command asks the same", async () => {
  const playground = await open();
  const { page } = playground;
  // Quotes in a sentence are for the shell to keep.
  await page.fill(".hypothesis:nth-child(1) input", "it's a \"cross\" $HOME");
  await playground.judged();
  await page.click("#entailment-details summary");
  const command = await page.textContent("#entailment-details [data-block=curl]");
  const { results } = JSON.parse(execFileSync("bash", ["-o", "pipefail", "-c", command]));
  const shown = (await verdicts(playground)).map(({ text, label }) => [text, label]);
  assert.deepEqual(results.map(({ hypothesis, label }) => [hypothesis, label]), shown);
  await playground.close();
});

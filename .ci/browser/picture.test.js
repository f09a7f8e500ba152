// Pictures of one's own, and what goes wrong with them.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { setUp } from "./server.js";

const shared = setUp();
const SAMPLE = "../../crates/mue-server/src/playground/samples/scene-030.png";
const png = readFileSync(new URL(SAMPLE, import.meta.url));

const words = async (playground) => (await playground.tokens()).map(({ word }) => word);

/** The words of the same picture among the samples. */
async function expected() {
  const playground = await shared.start();
  await playground.sample("scene-030.png");
  await playground.captioned();
  const found = await words(playground);
  await playground.close();
  return found;
}

test("a picture can be picked, dropped and pasted", async () => {
  const wanted = await expected();
  const playground = await shared.start();
  const { page } = playground;
  await page.setInputFiles("#file", { name: "mine.png", mimeType: "image/png", buffer: png });
  await page.waitForSelector("#picture-name:text-is('mine.png')");
  await playground.captioned();
  assert.deepEqual(await words(playground), wanted);
  for (const way of ["drop", "paste"]) {
    await playground.sample("scene-024.png");
    await playground.captioned();
    await page.evaluate(([way, bytes]) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([new Uint8Array(bytes)], `${way}.png`, { type: "image/png" }));
      const event = way === "drop"
        ? new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true })
        : new ClipboardEvent("paste", { clipboardData: transfer, bubbles: true });
      document.body.dispatchEvent(event);
    }, [way, [...png]]);
    await page.waitForSelector(`#picture-name:text-is("${way}.png")`);
    await playground.captioned();
    assert.deepEqual(await words(playground), wanted, way);
  }
  await playground.close();
});

test("a file that is no picture is refused in words, and the next picture works", async () => {
  const playground = await shared.start();
  const { page } = playground;
  await page.setInputFiles("#file", { name: "no.png", mimeType: "image/png", buffer: Buffer.from("no") });
  const card = page.locator("#caption-problem");
  await card.waitFor();
  assert.equal(await card.getAttribute("role"), "alert");
  const said = await card.textContent();
  assert.match(said, /The image cannot be used/);
  assert.match(said, /PNG, JPEG/);
  assert.doesNotMatch(said, /[{}]|undefined|null/);
  await playground.shoot("problem");
  await playground.sample("scene-024.png");
  await card.waitFor({ state: "hidden" });
  await playground.close(["the server responded with a status of 422"]);
});

test("words that are pasted with a picture of them are words", async () => {
  const playground = await shared.start();
  const { page } = playground;
  await page.click("#tab-entailment");
  await playground.judged();
  const paste = (selector) => page.$eval(selector, (target) => {
    const clipboardData = new DataTransfer();
    clipboardData.items.add("there is a ring", "text/plain");
    clipboardData.items.add(new File(["no picture"], "words.png", { type: "image/png" }));
    target.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
  });
  const before = await page.textContent("#picture-name");
  await paste(".hypothesis input");
  assert.equal(await page.textContent("#picture-name"), before);
  await paste("#drop");
  assert.match(await page.textContent("#picture-name"), /words.png/);
  await playground.close(["the server responded with a status of 422", "net::ERR"]);
});

test("a server that is gone is said to be", async () => {
  const playground = await shared.start();
  const { page } = playground;
  await page.route("**/v1/caption", (route) => route.abort());
  await playground.mode("off");
  await page.waitForSelector("#caption-problem:has-text('cannot be reached')");
  await page.unroute("**/v1/caption");
  await page.click("#caption-problem button");
  await page.waitForSelector("#caption-problem", { state: "hidden" });
  await playground.captioned();
  await playground.close(["net::ERR_FAILED"]);
});

test("where full depth fails, the caption stays", async () => {
  const playground = await shared.open();
  const { page } = playground;
  const problem = { code: "queue_full", title: "The queue is full", status: 429 };
  await page.route("**/v1/caption", (route) => {
    const streams = route.request().postDataBuffer().toString("latin1").includes('name="stream"');
    const refusal = { status: 429, contentType: "application/problem+json", body: JSON.stringify(problem) };
    return streams ? route.continue() : route.fulfill(refusal);
  });
  await page.goto(playground.url);
  await page.waitForSelector("#full-problem:has-text('queue is full')");
  assert(await page.isVisible("#early-tokens .token"));
  assert(await page.isHidden("#caption-saved"));
  await page.unroute("**/v1/caption");
  await page.click("#full-problem button");
  await playground.captioned();
  assert(await page.isHidden("#full-problem"));
  assert.equal(await page.evaluate(() => document.activeElement.id), "work");
  await playground.close(["the server responded with a status of 429"]);
});

test("a stream that breaks off is no answer", async () => {
  const playground = await shared.start();
  const { page } = playground;
  await page.route("**/v1/caption", (route) => route.fulfill({
    contentType: "text/event-stream",
    body: 'event: token\ndata: {"index":0,"text":"a","layer":2}\n\n',
  }));
  await playground.mode("off");
  await page.waitForSelector("#caption-problem:has-text('broke')");
  await playground.close();
});

test("a stream that ends in a problem shows it", async () => {
  const playground = await shared.start();
  const { page } = playground;
  const problem = { code: "shutting_down", title: "The server is shutting down", detail: "shutting down" };
  await page.route("**/v1/caption", (route) => route.fulfill({
    contentType: "text/event-stream",
    body: `event: token\ndata: {"index":0,"text":"a","layer":2}\n\n: alive\n\nevent: error\ndata: ${JSON.stringify(problem)}\n\n`,
  }));
  await playground.mode("off");
  await page.waitForSelector("#caption-problem:has-text('shutting down')");
  await playground.close();
});

test("a sample that arrives late replaces nothing", async () => {
  const playground = await shared.start();
  const { page } = playground;
  let release;
  const held = new Promise((resolve) => { release = resolve; });
  await page.route("**/samples/scene-020.png", async (route) => {
    await held;
    await route.continue();
  });
  const late = page.waitForResponse("**/samples/scene-020.png");
  await page.click("#samples button[data-file='scene-020.png']");
  await page.setInputFiles("#file", { name: "mine.png", mimeType: "image/png", buffer: png });
  await page.waitForSelector("#picture-name:text-is('mine.png')");
  release();
  await (await late).finished();
  await playground.captioned();
  assert.equal(await page.textContent("#picture-name"), "mine.png");
  await playground.close();
});

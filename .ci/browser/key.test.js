// With keys: the page is open, and asks for one.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import { setUp } from "./server.js";

const sha256 = createHash("sha256").update("sesame").digest("hex");
const shared = setUp(`api_keys = [{ name = "alice", sha256 = "${sha256}" }]`);

test("a key is asked for, tried, and kept for the tab", async () => {
  const playground = await shared.open();
  const { page } = playground;
  await page.goto(shared.url);
  await page.waitForSelector("#key-form:visible");
  await page.fill("#key", "10 €");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#key-note:has-text('ASCII')");
  await page.fill("#key", "open");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#key-note:has-text('does not know that key')");
  await page.fill("#key", "sesame");
  await page.keyboard.press("Enter");
  await playground.captioned();
  assert(await page.isHidden("#key-form"));
  await page.reload();
  await playground.captioned();
  const curl = await page.textContent("#caption-details [data-block=curl]");
  assert.match(curl, /Authorization: Bearer \$MUE_KEY/);
  assert(!curl.includes("sesame"));
  assert.equal(await page.evaluate(() => localStorage.length), 0);

  // A key that is no longer known is asked for again, in the middle of things.
  await page.evaluate(() => sessionStorage.setItem("mue.key", "revoked"));
  await playground.mode("off");
  await page.waitForSelector("#key-form:visible");
  await page.fill("#key", "sesame");
  await page.keyboard.press("Enter");
  await page.waitForSelector(".savings .big:text-is('0 %')");
  assert.equal(await page.locator("#samples li").count(), 6);
  await playground.close(["the server responded with a status of 401"]);
});

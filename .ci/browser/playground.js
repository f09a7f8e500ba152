// The playground as a check sees it.

import assert from "node:assert/strict";
import { join } from "node:path";

const DESKTOP = { width: 1280, height: 900 };

/** A page of the playground that notes what should not happen. */
export class Playground {
  static async open(browser, url, options = {}) {
    const context = await browser.newContext({ viewport: DESKTOP, ...options });
    const page = await context.newPage();
    const self = new Playground(page, url);
    context.on("request", (request) => {
      const { origin, protocol } = new URL(request.url());
      if (protocol !== "blob:" && origin !== new URL(url).origin) self.elsewhere.push(request.url());
    });
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) self.complaints.push(message.text());
    });
    page.on("pageerror", (error) => self.complaints.push(String(error)));
    return self;
  }

  constructor(page, url) {
    Object.assign(this, { page, url, elsewhere: [], complaints: [] });
  }

  async start() {
    await this.page.goto(this.url);
    await this.captioned();
    return this;
  }

  /** Fails if anything was asked of another server, or the console has words that are not expected. */
  async close(expected = []) {
    await this.page.context().close();
    assert.deepEqual(this.elsewhere, []);
    const surprises = this.complaints.filter((text) => !expected.some((words) => text.includes(words)));
    assert.deepEqual(surprises, []);
  }

  /** Waits until both captions are there and nothing is under way. */
  async captioned() {
    await this.page.waitForSelector("#panel-caption:not([aria-busy]) #caption-saved:not([hidden])");
  }

  /** Waits until every hypothesis with words has its verdict. */
  async judged() {
    await this.page.waitForSelector("#panel-entailment:not([aria-busy]) .verdict:not([hidden])");
  }

  /** Chooses a sample; when its name is there, the question has been asked. */
  async sample(name) {
    await this.page.click(`#samples button[data-file='${name}']`);
    await this.page.waitForSelector(`#picture-name:text-is('${name}')`);
  }

  mode(mode) {
    return this.page.check(`input[name=mode][value=${mode}]`);
  }

  /** Moves the slider of a branch with a key. */
  async slide(branch, key) {
    await this.page.press(`#threshold-${branch}`, key);
    await this.captioned();
  }

  /** The coloured tokens: word, layer as written, colour and ink as painted. */
  tokens(list = "#early-tokens") {
    return this.page.$$eval(`${list} .token`, (tokens) => tokens.map((token) => {
      const word = token.querySelector(".word");
      const { backgroundColor: colour, color: ink } = getComputedStyle(word);
      const [, layer, layers] = /layer (\d+) of (\d+)/.exec(token.querySelector(".level").textContent);
      return { word: word.textContent, layer: Number(layer), layers: Number(layers), colour, ink };
    }));
  }

  async layers() {
    return (await this.tokens()).map(({ layer }) => layer);
  }

  branch(name) {
    return this.page.textContent(`#branches [data-branch=${name}] dd:nth-of-type(1)`);
  }

  /** What is wider than the window, in pixels. */
  overflow() {
    return this.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
  }

  /** Waits until nothing moves. */
  settled() {
    return this.page.evaluate(async () => {
      await Promise.allSettled(document.getAnimations().map(({ finished }) => finished));
    });
  }

  /** A picture of the page into the artefacts. */
  async shoot(name, fullPage = false) {
    await this.settled();
    const path = join(process.env.MUE_CI_ARTEFACTS, `${name}.png`);
    await this.page.screenshot({ path, fullPage });
  }
}

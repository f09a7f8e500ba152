// A server of the build under test, on a free port, and a browser.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before } from "node:test";

import { chromium } from "playwright-core";

import { Playground } from "./playground.js";

/** For the tests of a file: `mue serve` with the demo model, and a browser. */
export function setUp(settings = "") {
  const shared = {
    /** A page that has not gone anywhere yet. */
    open: (options) => Playground.open(shared.browser, shared.url, options),
    /** A page with its first captions. */
    start: async (options) => (await shared.open(options)).start(),
  };
  before(async () => {
    Object.assign(shared, await serve(settings), { browser: await launch() });
  });
  after(async () => {
    await shared.browser?.close();
    await shared.stop?.();
  });
  return shared;
}

async function serve(settings) {
  const folder = mkdtempSync(join(tmpdir(), "mue-browser-"));
  const config = join(folder, "server.toml");
  writeFileSync(config, settings);
  const command = ["serve", "--listen", "127.0.0.1:0", "--config", config];
  const child = spawn(process.env.MUE, command, { stdio: ["ignore", "pipe", "inherit"] });
  const exited = once(child, "exit");
  const stop = async () => {
    child.kill("SIGTERM");
    await exited;
    rmSync(folder, { recursive: true });
  };
  for await (const line of createInterface(child.stdout)) {
    const url = /listening on (http:\/\/[^\s,]+)/.exec(line)?.[1];
    if (url) return { url, stop };
  }
  throw new Error("mue serve said no address");
}

function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
      "--disable-background-networking", "--disable-component-update", "--disable-sync",
    ],
  });
}

// What exits saved: compute and time, beside full depth.

import { make, unseen } from "./dom.js";
import * as format from "./format.js";

/** Times of one encoder differ by chance, but by less than this factor. */
const CHANCE = 2;

/** Early and full are answers of the server. */
export function showSavings(card, early, full) {
  const [{ compute }] = early.results;
  const big = make("p", {}, make("span", { className: "big" }, format.percent(compute.saved)), make("br"), make("span", { className: "hint" }, "of the compute saved"));
  const computed = comparison("Compute, in multiply-accumulates", compute.macs_full, [
    ["with exits", format.macs(compute.macs), [compute.macs]],
    ["full depth", format.macs(compute.macs_full), [compute.macs_full]],
  ]);
  card.replaceChildren(big, computed, timed(early, full));
  card.hidden = false;
}

/** The times, without the encoder's where only one of the two went through it. */
function timed(early, full) {
  const alike = !isKept(early, full);
  const times = [early, full].map(({ timing_ms: { encode, decode } }) => (alike ? [encode, decode] : [decode]));
  const totals = times.map((parts) => parts.reduce((sum, part) => sum + part));
  const bars = comparison(alike ? "Time in the encoder, then the decoder" : "Time in the decoder", Math.max(...totals), [
    ["with exits", format.ms(totals[0]), times[0]],
    ["full depth", format.ms(totals[1]), times[1]],
  ]);
  const note = "The encoder is left out: for one of the two the picture’s encoding was kept from before.";
  if (!alike) bars.append(make("p", { className: "hint" }, note));
  return bars;
}

/**
 * Whether one of the two encodings was kept, as far as the times tell: one that is computed takes no
 * longer than full depth, and no less than its share of the layers.
 */
function isKept(early, full) {
  const [{ exit: { image: { layer, layers } } }] = early.results;
  const part = early.timing_ms.encode / full.timing_ms.encode;
  return part > CHANCE || part * CHANCE < layer / layers;
}

/** Two bars on one scale; the parts of a bar lie end to end. */
function comparison(title, most, rows) {
  const list = make("dl");
  rows.forEach(([name, value, parts], place) => {
    const pieces = parts.map((part, stage) => make("i", {
      className: parts.length > 1 && stage === 0 ? "encode" : "",
      "--part": part / most,
      "--t": place === 0 ? 0.35 : 1,
    }));
    list.append(
      make("dt", {}, name, unseen(":")),
      make("dd", { className: "amount", "aria-hidden": "true" }, ...pieces),
      make("dd", {}, value),
    );
  });
  return make("div", {}, make("h3", {}, title), list);
}

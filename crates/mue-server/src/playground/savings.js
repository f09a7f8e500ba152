// What exits saved: compute and time, beside full depth.

import { make, unseen } from "./dom.js";
import * as format from "./format.js";

/** Early and full are answers of the server. */
export function showSavings(card, early, full) {
  const [{ compute }] = early.results;
  const big = make("p", {}, make("span", { className: "big" }, format.percent(compute.saved)), make("br"), make("span", { className: "hint" }, "of the compute saved"));
  const computed = comparison("Compute, in multiply-accumulates", compute.macs_full, [
    ["with exits", format.macs(compute.macs), [compute.macs]],
    ["full depth", format.macs(compute.macs_full), [compute.macs_full]],
  ]);
  const times = [early, full].map(({ timing_ms }) => [timing_ms.encode, timing_ms.decode]);
  const totals = times.map(([encode, decode]) => encode + decode);
  const timed = comparison("Time in the encoder, then the decoder", Math.max(...totals), [
    ["with exits", format.ms(totals[0]), times[0]],
    ["full depth", format.ms(totals[1]), times[1]],
  ]);
  card.replaceChildren(big, computed, timed);
  card.hidden = false;
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

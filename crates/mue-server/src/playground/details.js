// Times, batches, the raw answer, and the command that asks the same.

import { copyButton, make } from "./dom.js";
import * as format from "./format.js";

const STAGES = ["queue", "preprocess", "encode", "decode", "total"];
const BATCH = [
  ["cohort_rows", "rows encoded together"],
  ["decode_steps", "decoder steps"],
  ["decode_rows_mean", "rows per step, mean"],
];

/** `answers` are pairs of a heading and an answer; the first one is shown in full. */
export function showDetails(details, answers, question) {
  const json = JSON.stringify(answers[0][1], null, 2);
  const curl = question.curl();
  const note = "Encodings of a picture are kept, so asking again with the same image exits can skip its encoder.";
  const content = make("div", {},
    table(answers),
    make("p", { className: "hint" }, note),
    block("curl", curl),
    block("JSON", json));
  details.querySelector(":scope > div")?.remove();
  details.append(content);
  details.hidden = false;
}

function table(answers) {
  const cell = (text, tag = "td", scope = null) => make(tag, scope ? { scope } : {}, text);
  const row = (name, value) => make("tr", {}, cell(name, "th", "row"), ...answers.map(([, answer]) => cell(value(answer))));
  const head = make("tr", {}, cell("", "td"), ...answers.map(([name]) => cell(name, "th", "col")));
  const stages = STAGES.map((stage) => row(stage, ({ timing_ms }) => format.ms(timing_ms[stage])));
  const batches = BATCH.map(([name, words]) => row(words, ({ batch }) => format.layer(batch[name])));
  return make("table", {}, make("thead", {}, head), make("tbody", {}, ...stages, ...batches));
}

function block(name, text) {
  const head = make("div", { className: "head" }, make("h3", {}, name), copyButton(`Copy ${name}`, () => text));
  const body = make("pre", { tabIndex: 0, role: "region", "aria-label": name, "data-block": name }, text);
  return make("div", {}, head, body);
}

// The verdict on one hypothesis.

import { showBranches } from "./depth.js";
import { make } from "./dom.js";
import * as format from "./format.js";

const SIGNS = { entailment: "✓", neutral: "?", contradiction: "✕" };

export function showVerdict(box, { label, scores, exit, compute }) {
  if (!box.firstChild) box.append(...newVerdict());
  const [judged, left] = box.children;
  const [sign, list] = judged.children;
  sign.className = `label ${label}`;
  sign.replaceChildren(make("span", { "aria-hidden": "true" }, SIGNS[label]), label);
  for (const row of list.querySelectorAll("[data-label]")) {
    const score = scores[row.dataset.label];
    if (row.matches(".probability")) row.firstChild.style.setProperty("--part", score);
    else row.textContent = format.percent(score);
  }
  const [branches, saved] = left.children;
  showBranches(branches, exit);
  const words = exit.decoder.tokens?.map(({ text }) => `“${text.trim()}”`).join(" ") ?? "";
  saved.textContent = `${words ? `Answers ${words}, saves` : "Saves"} ${format.percent(compute.saved)} of the compute`;
  box.hidden = false;
}

function newVerdict() {
  const list = make("dl", { className: "scores" });
  for (const label of Object.keys(SIGNS)) {
    const bar = make("dd", { className: `probability ${label}`, "data-label": label, "aria-hidden": "true" }, make("i"));
    list.append(make("dt", {}, label), bar, make("dd", { "data-label": label }));
  }
  const judged = make("div", { className: "judged" }, make("p"), list);
  const branches = make("dl", { className: "branches", "aria-label": "Layers run, by branch" });
  return [judged, make("div", {}, branches, make("p", { className: "said" }))];
}

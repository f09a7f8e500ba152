// A slider of one branch's threshold.

import { make } from "./dom.js";

/** Similarities are close to 1, so the slider is even in the logarithm of what is missing to 1. */
const STEPS = 100;
const [MISSING_MOST, MISSING_LEAST] = [0.5, 0.0005];
/** Any similarity is above it. */
const AT_ONCE = -1;

export class Threshold {
  constructor(branch, name) {
    this.branch = branch;
    const id = `threshold-${branch}`;
    // The slider itself says its value to those who hear the page.
    this.output = make("output", { htmlFor: id, "aria-live": "off" });
    this.input = make("input", { id, type: "range", min: 0, max: STEPS, step: 1 });
    const ends = make("span", { className: "ends", "aria-hidden": "true" }, make("span", {}, "sooner"), make("span", {}, "deeper"));
    this.element = make("div", { className: "slider" }, make("label", { htmlFor: id }, name), this.output, this.input, ends);
    this.show();
  }

  /** The similarity above which a row leaves; null if it never does. */
  get value() {
    const place = this.input.valueAsNumber;
    if (place === 0) return AT_ONCE;
    if (place === STEPS) return null;
    const missing = MISSING_MOST * (MISSING_LEAST / MISSING_MOST) ** ((place - 1) / (STEPS - 2));
    return Number((1 - missing).toFixed(5));
  }

  set value(similarity) {
    if (similarity === null) this.input.value = STEPS;
    else if (similarity < 1 - MISSING_MOST) this.input.value = 0;
    else {
      const missing = Math.max(1 - similarity, MISSING_LEAST);
      const part = Math.log(missing / MISSING_MOST) / Math.log(MISSING_LEAST / MISSING_MOST);
      this.input.value = Math.round(1 + part * (STEPS - 2));
    }
    this.show();
  }

  show() {
    const { value } = this;
    this.output.textContent = value === null ? "never" : value === AT_ONCE ? "at once" : `above ${value.toFixed(4)}`;
    const spoken = value === null ? "never leaves, full depth"
      : value === AT_ONCE ? "leaves after the first layer"
      : `leaves above a similarity of ${value.toFixed(4)}`;
    this.input.setAttribute("aria-valuetext", spoken);
  }
}

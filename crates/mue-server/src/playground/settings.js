// How to exit and how to search: the controls above both panels.

import { find, make } from "./dom.js";
import * as format from "./format.js";
import { operatingPoints } from "./quality.js";
import { Threshold } from "./threshold.js";

/** As many as fit beside each other on a phone. */
const MARKS_MOST = 5;

const NOTES = {
  auto: "The model’s own exits.",
  none: "The model has no exits of its own, so this is full depth.",
  off: "Every token goes through every layer.",
  quality: "The cheapest exits that were measured to keep this much of full depth’s quality.",
  thresholds: "A token leaves a branch after the first layer that hardly changes it: when its input and output are more similar than this.",
};

/**
 * Branches of a task that exit on their own. In joint encoding the image's threshold is the encoder's; apart,
 * the prompt of captions is constant and encoded once, so that its exit would save nothing.
 */
function branches({ encoding }, task) {
  if (encoding === "joint") return [["image", "Encoder"], ["decoder", "Decoder"]];
  const text = task === "caption" ? [] : [["text", "Text"]];
  return [["image", "Image"], ...text, ["decoder", "Decoder"]];
}

/** Where a slider begins whose branch the model leaves by something else than a similarity. */
const START = 0.95;

/** Where the slider of a branch begins: at the model's own similarity, or somewhere that shows exits. */
function start(rule) {
  if (rule === "full") return null;
  // Of a threshold per layer those beyond a similarity only say "never here" and "here at the latest".
  return rule?.similarity?.find((threshold) => Math.abs(threshold) <= 1) ?? rule?.decay?.threshold ?? START;
}

/** The sliders of a task. */
function sliders(model, task) {
  return branches(model, task).map(([branch, name]) => {
    const threshold = new Threshold(branch, name);
    threshold.value = start(model.exits[task].auto?.[branch]);
    return threshold;
  });
}

export class Settings {
  /** For a model as /v1/models describes it; calls `changed()` whenever something has. */
  constructor(model, changed) {
    this.model = model;
    this.task = "caption";
    this.form = find("exits");
    this.sliders = { caption: sliders(model, "caption"), entailment: sliders(model, "entailment") };
    this.#search(find("beam"), model.search.beam_size, model.limits.beam_size_max);
    this.#search(find("tokens"), model.search.max_tokens, model.limits.max_tokens_max);
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", () => {
      this.#show();
      if (this.form.checkValidity()) changed();
    });
    this.show("caption");
  }

  /** Shows what there is to set for a task. */
  show(task) {
    this.task = task;
    this.points = operatingPoints(this.model.exits[task].calibration);
    find("thresholds").replaceChildren(...this.thresholds.map((threshold) => threshold.element));
    find("search").hidden = task !== "caption";
    // What is not asked for need not be valid.
    for (const input of find("search").querySelectorAll("input")) input.disabled = task !== "caption";
    const quality = this.form.elements.mode[2];
    quality.disabled = this.points.length === 0;
    quality.parentElement.title = quality.disabled ? "This model is not calibrated for this task" : "";
    if (quality.disabled && quality.checked) this.form.elements.mode.value = "auto";
    const at = find("quality-at");
    at.max = Math.max(0, this.points.length - 1);
    this.#mark();
    this.#show();
  }

  /** The sliders of the task that is shown. */
  get thresholds() {
    return this.sliders[this.task];
  }

  get mode() {
    return this.form.elements.mode.value;
  }

  /** The request's `exit`, as text. */
  get exit() {
    switch (this.mode) {
      case "quality": return JSON.stringify({ quality: this.#point().quality });
      case "thresholds": {
        const set = this.thresholds.filter((threshold) => threshold.value !== null);
        return JSON.stringify(Object.fromEntries(set.map(({ branch, value }) => [branch, value])));
      }
      default: return this.mode;
    }
  }

  /** The request's fields for the search of a caption. */
  get search() {
    return [["beam_size", find("beam").value], ["max_tokens", find("tokens").value]];
  }

  #point() {
    return this.points[find("quality-at").valueAsNumber];
  }

  #search(input, value, most) {
    Object.assign(input, { max: most, value: Math.min(value, most) });
  }

  #show() {
    const { mode } = this;
    const owns = this.model.exits[this.task].auto !== null;
    const uncalibrated = this.points.length ? "" : " Quality needs a calibration, which this model lacks for this task.";
    find("mode-note").textContent = NOTES[mode === "auto" && !owns ? "none" : mode] + uncalibrated;
    find("quality").hidden = mode !== "quality";
    find("thresholds").hidden = mode !== "thresholds";
    if (mode === "quality") this.#showQuality();
    this.thresholds.forEach((threshold) => threshold.show());
  }

  /** A mark under the slider for every point; where they are too many, for the first and the last. */
  #mark() {
    const marks = this.points.map(({ quality }) => format.percent(quality, 1));
    const shown = marks.length > MARKS_MOST ? [marks[0], marks.at(-1)] : marks;
    find("quality-marks").replaceChildren(...shown.map((mark) => make("span", {}, mark)));
  }

  #showQuality() {
    const { quality, cost } = this.#point();
    const text = `at least ${format.percent(quality, 1)}, for ${format.percent(cost)} of the compute`;
    find("quality-value").textContent = text;
    find("quality-at").setAttribute("aria-valuetext", text);
  }
}

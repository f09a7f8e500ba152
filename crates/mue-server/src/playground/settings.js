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

/** The same for either task. */
function each(of) {
  return { caption: of("caption"), entailment: of("entailment") };
}

export class Settings {
  /** For a model as /v1/models describes it; calls `changed(valid)` whenever something has. */
  constructor(model, changed) {
    this.task = "caption";
    this.form = find("exits");
    this.changed = changed;
    this.form.addEventListener("submit", (event) => event.preventDefault());
    this.form.addEventListener("input", () => {
      this.places[this.task] = find("quality-at").valueAsNumber;
      this.#show();
      changed(this.form.checkValidity());
    });
    this.take(model);
  }

  /** Begins anew with what there is to set for a model. */
  take(model) {
    this.model = model;
    this.sliders = each((task) => sliders(model, task));
    this.points = each((task) => operatingPoints(model.exits[task].calibration));
    /** Which of its points a task's quality is. */
    this.places = each((task) => Math.floor(this.points[task].length / 2));
    this.#search(find("beam"), model.search.beam_size, model.limits.beam_size_max);
    this.#search(find("tokens"), model.search.max_tokens, model.limits.max_tokens_max);
    this.show(this.task);
  }

  /** Shows what there is to set for a task. */
  show(task) {
    this.task = task;
    const { length } = this.points[task];
    find("thresholds").replaceChildren(...this.sliders[task].map((threshold) => threshold.element));
    find("search").hidden = task !== "caption";
    // What is not asked for need not be valid.
    for (const input of find("search").querySelectorAll("input")) input.disabled = task !== "caption";
    const quality = this.form.elements.mode[2];
    quality.disabled = length === 0;
    quality.parentElement.title = quality.disabled ? "This model is not calibrated for this task" : "";
    const gone = quality.disabled && quality.checked;
    if (gone) this.form.elements.mode.value = "auto";
    const at = find("quality-at");
    at.max = Math.max(0, length - 1);
    at.value = this.places[task];
    this.#mark();
    this.#show();
    if (gone) this.changed(this.form.checkValidity());
  }

  get mode() {
    return this.form.elements.mode.value;
  }

  /** The `exit` of a task's request, as text. */
  exitOf(task) {
    switch (this.mode) {
      case "quality": return JSON.stringify({ quality: this.#point(task).quality });
      case "thresholds": {
        const set = this.sliders[task].filter((threshold) => threshold.value !== null);
        return JSON.stringify(Object.fromEntries(set.map(({ branch, value }) => [branch, value])));
      }
      default: return this.mode;
    }
  }

  /** The request's fields for the search of a caption. */
  get search() {
    return [["beam_size", find("beam").value], ["max_tokens", find("tokens").value]];
  }

  #point(task) {
    return this.points[task][this.places[task]];
  }

  #search(input, value, most) {
    Object.assign(input, { max: most, value: Math.min(value, most) });
  }

  #show() {
    const { mode } = this;
    const owns = this.model.exits[this.task].auto !== null;
    const uncalibrated = this.points[this.task].length ? "" : " Quality needs a calibration, which this model lacks for this task.";
    find("mode-note").textContent = NOTES[mode === "auto" && !owns ? "none" : mode] + uncalibrated;
    find("quality").hidden = mode !== "quality";
    find("thresholds").hidden = mode !== "thresholds";
    if (mode === "quality") this.#showQuality();
    this.sliders[this.task].forEach((threshold) => threshold.show());
    this.#showInvalid();
  }

  /** Says which number cannot be asked for, and why. */
  #showInvalid() {
    const said = [...find("search").querySelectorAll("input")].map((input) => {
      const { labels: [label], validationMessage: why } = input;
      input.setAttribute("aria-invalid", String(why !== ""));
      return why && `${label.textContent}: ${why}`;
    });
    find("search-note").textContent = said.filter(Boolean).join(" ");
  }

  /** A mark under the slider for every point; where they are too many, for the first and the last. */
  #mark() {
    const marks = this.points[this.task].map(({ quality }) => format.percent(quality, 1));
    const shown = marks.length > MARKS_MOST ? [marks[0], marks.at(-1)] : marks;
    find("quality-marks").replaceChildren(...shown.map((mark) => make("span", {}, mark)));
  }

  #showQuality() {
    const { quality, cost } = this.#point(this.task);
    const text = `at least ${format.percent(quality, 1)}, for ${format.percent(cost)} of the compute`;
    find("quality-value").textContent = text;
    find("quality-at").setAttribute("aria-valuetext", text);
  }
}

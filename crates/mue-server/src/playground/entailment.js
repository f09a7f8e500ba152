// The entailment panel: sentences, and what the picture says to each.

import { ask } from "./api.js";
import { showDetails } from "./details.js";
import { announce, find, make } from "./dom.js";
import { latest } from "./latest.js";
import { hideProblem, showProblem } from "./problem.js";
import { Question } from "./question.js";
import { showVerdict } from "./verdict.js";

const PATH = "v1/entailment";
/** Long enough to finish a word. */
const TYPING_MS = 500;

export class EntailmentPanel {
  /** `state` holds the picture, the settings, the model, and `startAgain` for when it is another. */
  constructor(state) {
    this.state = state;
    this.panel = find("panel-entailment");
    this.list = find("hypotheses");
    /** Whether the sentences are the user's own, which no sample replaces. */
    this.edited = false;
    this.question = latest((signal) => this.#run(signal));
    find("add").addEventListener("click", () => this.#add("").focus());
    find("premise").addEventListener("input", () => this.ask(TYPING_MS));
    find("sentences").addEventListener("submit", (event) => {
      event.preventDefault();
      this.ask(0);
    });
  }

  /** Offers what the model reads. */
  take(model) {
    find("premise").parentElement.hidden = !model.reads_premise;
    this.#count();
  }

  /** Takes a sample's sentences, unless there are others. */
  suggest(sample) {
    if (!sample || this.edited) return;
    this.list.replaceChildren();
    sample.hypotheses.forEach((text) => this.#add(text));
  }

  /** `met` are the models that have answered instead of the one described, on the way to this question. */
  ask(wait_ms, met = new Set()) {
    // The picture, when there is one, asks for itself.
    if (!this.state.picture) return;
    this.met = met;
    this.panel.setAttribute("aria-busy", "true");
    this.question.ask(wait_ms);
  }

  /** Takes back a question that is not asked yet; whether there was one. */
  withdraw() {
    const pending = this.question.withdraw();
    if (pending) this.panel.removeAttribute("aria-busy");
    return pending;
  }

  async #run(signal) {
    const rows = [...this.list.children].filter((row) => sentence(row).value.trim());
    // One list: a sentence by itself would be read as one if it looked like JSON.
    const sentences = rows.map((row) => sentence(row).value.trim());
    const fields = [["hypotheses", JSON.stringify(sentences)]];
    const premise = find("premise").value.trim();
    if (premise && this.state.model.reads_premise) fields.push(["premise", premise]);
    fields.push(["exit", this.state.settings.exitOf("entailment")]);
    const question = new Question(PATH, this.state.picture, fields);
    try {
      const answer = rows.length ? await ask(PATH, { form: question.form(), signal }) : null;
      hideProblem(find("entailment-problem"));
      if (!answer) {
        find("entailment-details").hidden = true;
        return;
      }
      const isOther = answer.model !== this.state.model.name;
      if (isOther && this.state.startAgain(answer.model, this.met)) return;
      this.#show(rows, answer, question);
    } catch (error) {
      if (signal.aborted) return;
      this.state.refused(error);
      showProblem(find("entailment-problem"), error, () => this.ask(0));
    } finally {
      if (!signal.aborted) this.panel.removeAttribute("aria-busy");
    }
  }

  #show(rows, answer, question) {
    rows.forEach((row, place) => showVerdict(row.querySelector(".verdict"), answer.results[place]));
    showDetails(find("entailment-details"), [["with exits", answer]], question);
    announce(answer.results.map(({ hypothesis, label }) => `${hypothesis}: ${label}.`).join(" "), this.panel);
  }

  /** Adds a row, and returns its input. */
  #add(text) {
    const input = make("input", { type: "text", value: text, autocomplete: "off", placeholder: "there is a red circle" });
    const remove = make("button", { type: "button", className: "remove" }, "×");
    const verdict = make("div", { className: "verdict", hidden: true });
    const row = make("li", { className: "hypothesis" }, make("div", { className: "row" }, input, remove), verdict);
    input.addEventListener("input", () => {
      this.edited = true;
      verdict.hidden ||= !input.value.trim();
      this.ask(TYPING_MS);
    });
    remove.addEventListener("click", () => this.#remove(row));
    this.list.append(row);
    this.#count();
    return input;
  }

  #remove(row) {
    const neighbour = row.nextElementSibling ?? row.previousElementSibling;
    row.remove();
    this.edited = true;
    this.#count();
    (neighbour ? sentence(neighbour) : find("add")).focus();
    this.ask(0);
  }

  /** Numbers the rows, for those who hear them, and lets there be no more than the server takes. */
  #count() {
    [...this.list.children].forEach((row, place) => {
      sentence(row).setAttribute("aria-label", `Hypothesis ${place + 1}`);
      row.querySelector(".remove").setAttribute("aria-label", `Remove hypothesis ${place + 1}`);
    });
    find("add").disabled = this.list.children.length >= this.state.model.limits.hypotheses_max;
  }
}

function sentence(row) {
  return row.querySelector("input");
}

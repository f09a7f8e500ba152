// The caption panel: tokens as they leave, then full depth beside them.

import { Refusal, ask, events } from "./api.js";
import { markDifferences, showBranches, showToken, showTokens } from "./depth.js";
import { showDetails } from "./details.js";
import { common } from "./difference.js";
import { announce, find } from "./dom.js";
import * as format from "./format.js";
import { latest } from "./latest.js";
import { hideProblem, showProblem } from "./problem.js";
import { Question } from "./question.js";
import { showSavings } from "./savings.js";

const PATH = "v1/caption";
const OTHER = { code: "other_model", title: "Full depth was answered by another model" };

export class CaptionPanel {
  /** `state` holds the picture, the settings, the model, and `startAgain` for when it is another. */
  constructor(state) {
    this.state = state;
    this.panel = find("panel-caption");
    this.question = latest((signal) => this.#run(signal));
    /** The answer of full depth, which exits do not change, and what it answers. */
    this.full = { key: null, answer: null };
  }

  /** `met` are the models that have answered instead of the one described, on the way to this question. */
  ask(wait_ms, met = new Set()) {
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
    const { picture, settings } = this.state;
    const question = new Question(PATH, picture, [["exit", settings.exitOf("caption")], ...settings.search]);
    try {
      const early = await this.#stream(question, signal);
      hideProblem(find("caption-problem"));
      const isOther = early.model !== this.state.model.name;
      if (isOther && this.state.startAgain(early.model, this.met)) return;
      await this.#beside(question, early, signal);
    } catch (error) {
      if (signal.aborted) return;
      hideProblem(find("full-problem"));
      this.#fail("caption-problem", error);
    } finally {
      if (!signal.aborted) this.panel.removeAttribute("aria-busy");
    }
  }

  #fail(card, error) {
    this.state.refused(error);
    showProblem(find(card), error, () => this.ask(0));
  }

  /** The answer with exits, shown token by token as they leave. */
  async #stream(question, signal) {
    const list = find("early-tokens");
    const layers = this.state.model.size.decoder_layers;
    let place = 0;
    for await (const { name, data } of events(PATH, { form: question.with("stream", "true").form(), signal })) {
      if (name === "token") showToken(list, place++, data, layers);
      else {
        const [{ exit }] = data.results;
        showTokens(list, exit.decoder.tokens, exit.decoder.layers);
        const { encoding } = this.state.model;
        showBranches(find("branches"), exit, encoding === "joint" ? "" : ", encoded once");
        return data;
      }
    }
  }

  /** Shows full depth beside the answer, which stands without it too. */
  async #beside(question, early, signal) {
    let full;
    try {
      full = await this.#fullDepth(question, early, signal);
      if (full.model !== early.model) {
        if (this.state.startAgain(full.model, this.met)) return undefined;
        throw new Refusal({ ...OTHER, detail: `${full.model} instead of ${early.model}` });
      }
    } catch (error) {
      if (signal.aborted) return;
      find("caption-saved").hidden = true;
      showDetails(find("caption-details"), [["with exits", early]], question);
      this.#fail("full-problem", error);
      return announce(told(early), this.panel);
    }
    hideProblem(find("full-problem"));
    showDetails(find("caption-details"), [["with exits", early], ["full depth", full]], question);
    return announce(`${told(early)} ${this.#compare(early, full)}.`, this.panel);
  }

  /** Asked after the other, because together they would share a batch and its time. */
  async #fullDepth(question, early, signal) {
    const off = question.with("exit", "off");
    const key = JSON.stringify(off.fields);
    const { full } = this;
    const known = full.key === key && full.picture === question.picture && full.answer.model === early.model;
    if (!known) {
      const answer = question.get("exit") === "off" ? early : await ask(PATH, { form: off.form(), signal });
      this.full = { key, picture: question.picture, answer };
    }
    return this.full.answer;
  }

  /** Shows how the two differ; in words, too. */
  #compare(early, full) {
    const [{ exit: { decoder: { tokens } } }] = early.results;
    const [{ exit: { decoder } }] = full.results;
    showTokens(find("full-tokens"), decoder.tokens, decoder.layers);
    const words = (tokens) => tokens.map(({ text }) => text);
    const [ours, theirs] = common(words(tokens), words(decoder.tokens));
    markDifferences(find("early-tokens"), ours, "full depth");
    markDifferences(find("full-tokens"), theirs, "with exits");
    const others = Math.max(tokens.length - ours.size, decoder.tokens.length - theirs.size);
    const verdict = others === 0 ? "Same words as with exits" : `${format.plural(others, "word")} of difference`;
    const difference = find("difference");
    difference.textContent = `${others === 0 ? "✓" : "≠"} ${verdict}`;
    difference.className = `difference ${others === 0 ? "same" : "other"}`;
    showSavings(find("caption-saved"), early, full);
    return verdict;
  }
}

/** An answer to those who hear the page. */
function told({ results: [{ caption, compute }] }) {
  return `Caption: ${caption}. ${format.percent(compute.saved)} of the compute saved.`;
}

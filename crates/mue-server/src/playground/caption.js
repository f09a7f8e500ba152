// The caption panel: tokens as they leave, then full depth beside them.

import { ask, events } from "./api.js";
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

export class CaptionPanel {
  /** `state` holds the picture, the settings and the model. */
  constructor(state) {
    this.state = state;
    this.panel = find("panel-caption");
    this.question = latest((signal) => this.#run(signal));
    /** The answer of full depth, which exits do not change, and what it answers. */
    this.full = { key: null, answer: null };
  }

  ask(wait_ms) {
    this.panel.setAttribute("aria-busy", "true");
    this.question.ask(wait_ms);
  }

  async #run(signal) {
    const { picture, settings } = this.state;
    const question = new Question(PATH, picture, [["exit", settings.exit], ...settings.search]);
    try {
      const early = await this.#stream(question, signal);
      const full = await this.#fullDepth(question, early, signal);
      hideProblem(find("caption-problem"));
      this.#compare(early, full);
      showDetails(find("caption-details"), [["with exits", early], ["full depth", full]], question);
      this.panel.removeAttribute("aria-busy");
    } catch (error) {
      if (signal.aborted) return;
      this.panel.removeAttribute("aria-busy");
      this.state.refused(error);
      showProblem(find("caption-problem"), error, () => this.ask(0));
    }
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

  /** Asked after the other, because together they would share a batch and its time. */
  async #fullDepth(question, early, signal) {
    const key = JSON.stringify(question.with("exit", "off").fields);
    const known = this.full.key === key && this.full.picture === question.picture;
    if (!known) {
      const off = this.state.settings.mode === "off";
      const answer = off ? early : await ask(PATH, { form: question.with("exit", "off").form(), signal });
      this.full = { key, picture: question.picture, answer };
    }
    return this.full.answer;
  }

  #compare(early, full) {
    const [{ caption, exit: { decoder: { tokens } }, compute }] = early.results;
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
    announce(`Caption: ${caption}. ${format.percent(compute.saved)} of the compute saved. ${verdict}.`);
  }
}

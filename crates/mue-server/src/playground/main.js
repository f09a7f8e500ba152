// The playground: starts when the server has told what it serves.

import { Refusal, ask, key } from "./api.js";
import { CaptionPanel } from "./caption.js";
import { showLegend } from "./depth.js";
import { find, make } from "./dom.js";
import { EntailmentPanel } from "./entailment.js";
import { pictures } from "./picture.js";
import { hideProblem, showProblem } from "./problem.js";
import { Settings } from "./settings.js";
import { tabs } from "./tabs.js";

/** Long enough that a slider in motion does not ask at every pixel. */
const SLIDING_MS = 120;

/** Asks anew, once there is something to ask about. */
let again = null;

async function start() {
  let answer;
  try {
    answer = await ask("v1/models");
  } catch (error) {
    refused(error);
    showProblem(find("caption-problem"), error, start);
    return;
  }
  find("key-form").hidden = true;
  hideProblem(find("caption-problem"));
  const [model] = answer.models;
  describe(model);
  document.querySelectorAll(".legend").forEach((list) => showLegend(list, model.size.decoder_layers));
  if (again) again();
  else again = play(model);
}

/** Sets the page in motion, and returns how to ask anew. */
function play(model) {
  const state = { model, picture: null, settings: null, refused };
  const panels = { caption: new CaptionPanel(state), entailment: new EntailmentPanel(state) };
  /** Panels whose answers are out of date are asked anew when they are shown. */
  const stale = new Set();
  const ask = (wait_ms) => {
    Object.keys(panels).forEach((task) => stale.add(task));
    refresh(wait_ms);
  };
  const refresh = (wait_ms) => {
    const { task } = state.settings;
    if (state.picture && stale.delete(task)) panels[task].ask(wait_ms);
  };
  state.settings = new Settings(model, () => ask(SLIDING_MS));
  tabs(document.querySelector("[role=tablist]"), (panel) => {
    state.settings.show(panel === panels.caption.panel ? "caption" : "entailment");
    refresh(0);
  });
  pictures((picture) => {
    state.picture = picture;
    panels.entailment.suggest(picture.sample);
    ask(0);
  }, (error, retry) => showProblem(find(`${state.settings.task}-problem`), error, retry));
  return () => ask(0);
}

function describe({ name, device, size, encoding }) {
  const facts = [
    ["Model", name],
    ["Device", device],
    ["Layers", `${size.encoder_layers} + ${size.decoder_layers}`],
    ["Encoding", encoding],
  ];
  find("model").replaceChildren(...facts.map(([term, fact]) => make("div", {}, make("dt", {}, term), make("dd", {}, fact))));
}

/** Asks for a key where one is missing or wrong. */
function refused(error) {
  if (!(error instanceof Refusal) || error.problem.code !== "unauthorized") return;
  if (key.get()) find("key-note").textContent = "The server does not know that key.";
  key.forget();
  find("key-form").hidden = false;
  find("key").focus();
}

find("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  key.set(find("key").value.trim());
  find("key").value = "";
  // Everything is asked anew, with the key.
  start();
});

start();

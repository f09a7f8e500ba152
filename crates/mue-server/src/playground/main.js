// The playground: starts when the server has told what it serves.

import { Refusal, ask, key } from "./api.js";
import { CaptionPanel } from "./caption.js";
import { showLegend } from "./depth.js";
import { find, hide, make } from "./dom.js";
import { EntailmentPanel } from "./entailment.js";
import { pictures } from "./picture.js";
import { hideProblem, showProblem } from "./problem.js";
import { Settings } from "./settings.js";
import { tabs } from "./tabs.js";

/** Long enough that a slider in motion does not ask at every pixel. */
const SLIDING_MS = 120;

/** Asks a model anew, once there is something to ask about. */
let again = null;

/** Where the panel that is shown says what is wrong. */
const shownProblem = () => document.querySelector("[role=tabpanel]:not([hidden]) > .problem");

/** Asks what is served; `met` are the names of models for which it has been asked on the way to one question. */
async function start(met = new Set()) {
  let answer;
  try {
    answer = await ask("v1/models");
  } catch (error) {
    refused(error);
    showProblem(shownProblem(), error, () => start());
    return;
  }
  hide(find("key-form"));
  document.querySelectorAll("[role=tabpanel] > .problem").forEach(hideProblem);
  const [model] = answer.models;
  describe(model);
  document.querySelectorAll(".legend").forEach((list) => showLegend(list, model.size.decoder_layers));
  if (again) again(model, met);
  else again = play(model);
}

/**
 * Asks what is served once more, since another model has answered, and then the question: once for each model, as
 * servers that differ may take turns. Whether it does.
 */
function startAgain(name, met) {
  if (met.has(name)) return false;
  start(new Set([...met, name]));
  return true;
}

/** Sets the page in motion, and returns how to ask anew. */
function play(model) {
  const state = { model, picture: null, settings: null, refused, startAgain };
  const panels = { caption: new CaptionPanel(state), entailment: new EntailmentPanel(state) };
  panels.entailment.take(model);
  /** Panels whose answers are out of date are asked anew when they are shown. */
  const stale = new Set();
  const outdate = () => Object.keys(panels).forEach((task) => stale.add(task));
  const refresh = (wait_ms, met) => {
    // Before there is a picture, there may be no settings either.
    if (state.picture && stale.delete(state.settings.task)) panels[state.settings.task].ask(wait_ms, met);
  };
  /** What is not asked yet is out of date again. */
  const withdraw = () => {
    const { task } = state.settings;
    if (panels[task].withdraw()) stale.add(task);
  };
  const ask = (wait_ms, met) => {
    outdate();
    refresh(wait_ms, met);
  };
  state.settings = new Settings(model, (valid) => {
    outdate();
    if (valid) refresh(SLIDING_MS);
    else withdraw();
  });
  tabs(document.querySelector("[role=tablist]"), (panel) => {
    withdraw();
    state.settings.show(panel === panels.caption.panel ? "caption" : "entailment");
    refresh(0);
  });
  pictures((picture) => {
    state.picture = picture;
    panels.entailment.suggest(picture.sample);
    ask(0);
  }, (error, retry) => showProblem(shownProblem(), error, retry));
  return (now, met) => {
    if (now.name !== state.model.name) {
      state.model = now;
      state.settings.take(now);
      panels.entailment.take(now);
    }
    ask(0, met);
  };
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
  const entered = find("key").value.trim();
  if (!key.fits(entered)) {
    find("key-note").textContent = "A key is of ASCII letters, digits and signs, without spaces.";
    find("key").focus();
    return;
  }
  key.set(entered);
  find("key").value = "";
  // Everything is asked anew, with the key.
  start();
});

start();

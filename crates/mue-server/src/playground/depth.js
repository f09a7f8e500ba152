// Where things left: tokens, bars, and the legend of their colours.

import { make, set, unseen } from "./dom.js";
import * as format from "./format.js";

/** What the colours and fills of an element go by. */
function depth(layer, layers) {
  const t = layers > 1 ? (layer - 1) / (layers - 1) : 1;
  return { "--layer": layer, "--layers": layers, "--t": Math.max(0, t) };
}

export function showLegend(list, layers) {
  const entries = Array.from({ length: layers }, (_, place) => place + 1);
  list.replaceChildren(...entries.map((layer) => make("li", depth(layer, layers), String(layer))));
}

/** Shows a token at its place; one that is there already moves to its new depth. */
export function showToken(list, place, { text, layer }, layers) {
  const token = list.children[place] ?? list.appendChild(newToken(place));
  set(token, depth(layer, layers));
  token.classList.remove("differs");
  const [, word, level] = token.children;
  word.textContent = text.trim() || text;
  level.replaceChildren(unseen(" left at layer "), String(layer), unseen(` of ${layers}`));
}

function newToken(place) {
  const shaft = make("span", { className: "shaft", "aria-hidden": "true" });
  const word = make("span", { className: "word" });
  const level = make("span", { className: "level" });
  return make("li", { className: "token arriving", "--place": place }, shaft, word, level);
}

/** Shows these tokens and no others. */
export function showTokens(list, tokens, layers) {
  tokens.forEach((token, place) => showToken(list, place, token, layers));
  while (list.children.length > tokens.length) list.lastChild.remove();
}

/** Marks the tokens of a list that the other text does not have. */
export function markDifferences(list, kept, other) {
  [...list.children].forEach((token, place) => {
    const differs = !kept.has(place);
    token.classList.toggle("differs", differs);
    if (differs) token.lastChild.append(unseen(`, differs from ${other}`));
  });
}

/** Bars of the three branches; of the text branch there may be something to say. */
export function showBranches(list, exit, ofText = "") {
  const rows = [
    ["Image", exit.image.layer, exit.image.layers, exit.deferred ? `, deferred at ${exit.deferred.image}` : ""],
    ["Text", exit.text.layer, exit.text.layers, ofText],
    ["Decoder", exit.decoder.mean_layer, exit.decoder.layers, exit.decoder.tokens?.length > 1 ? ", mean" : ""],
  ];
  rows.forEach(([name, layer, layers, what], place) => {
    const row = list.children[place] ?? list.appendChild(newBranch(name));
    set(row, depth(layer, layers));
    const unit = make("span", { className: "unit" }, ` of ${layers}${what}`);
    row.children[1].replaceChildren(format.layer(layer), unit);
  });
}

function newBranch(name) {
  const bar = make("dd", { className: "bar", "aria-hidden": "true" }, make("i"));
  return make("div", { "data-branch": name.toLowerCase() }, make("dt", {}, name), make("dd"), bar);
}

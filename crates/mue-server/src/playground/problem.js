// Problems in human words.

import { Refusal } from "./api.js";
import { announce, hide, make } from "./dom.js";
import { plural } from "./format.js";

/** What a person can do about it, by the problem's code. */
const ADVICE = {
  unreachable: "It may have stopped, or the network is gone.",
  unauthorized: "Enter a key that the server knows, above.",
  image_too_large: "A smaller copy of the picture will do: the model shrinks it anyway.",
  body_too_large: "A smaller copy of the picture will do: the model shrinks it anyway.",
  body_too_slow: "The connection was too slow for this picture; a smaller copy may pass.",
  too_many_rows: "Fewer beams or fewer hypotheses will fit.",
  queue_full: "Others are asking too.",
  too_many_requests: "Others are asking too.",
  rate_limited: "This key has asked as often as it may for now.",
  deadline_exceeded: "The server was too busy to answer in time.",
  shutting_down: "Try again when it is back.",
  model_unavailable: "The model is being loaded anew; a moment later it may be back.",
  model_failed: "Another picture or other words may work.",
  other_model: "Servers with different models answer here in turn.",
};

/** The server numbers the pictures of a request; here there is one. */
const SOLE_PICTURE = /^image 0: /;

/** Shows a failure in a card of its own, with a button to try again; what is beside the card is no answer to this. */
export function showProblem(card, error, again) {
  if (!(error instanceof Refusal)) throw error;
  const { problem, retryAfter } = error;
  const wait = retryAfter ? `Try again in ${plural(retryAfter, "second")}.` : "";
  const advice = [ADVICE[problem.code] ?? "", wait].filter(Boolean).join(" ");
  const button = make("button", { type: "button" }, "Try again");
  const hadFocus = card.contains(document.activeElement);
  button.addEventListener("click", again);
  card.replaceChildren(
    make("h2", {}, problem.title),
    ...(problem.detail ? [make("p", {}, sentence(problem.detail.replace(SOLE_PICTURE, "")))] : []),
    ...(advice ? [make("p", { className: "hint" }, advice)] : []),
    button,
  );
  card.hidden = false;
  if (hadFocus) button.focus();
  card.parentElement.classList.add("failed");
  announce("", card);
}

export function hideProblem(card) {
  hide(card);
  card.replaceChildren();
  card.parentElement.classList.remove("failed");
}

function sentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

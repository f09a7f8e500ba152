"""Early exits as the golden cases define them, and decoding with them on top of the reference's decoder."""
import math

import numpy as np
import torch
from reference import EOS, PAD, head


class Margins:
    """How close the decisions of a case were: a decision nearer than rounding noise would make a case worthless."""

    def __init__(self):
        self.encoder = self.decoder = self.choice = math.inf

    def see(self, what, values):
        """Notes distances from a decision's other outcome; `what` is encoder, decoder or choice."""
        setattr(self, what, min([getattr(self, what), *map(float, values)]))


def cosine(a, b):
    """Cosine of two tensors flattened to vectors, accumulated in f64 and rounded to f32."""
    a, b = a.double().flatten(), b.double().flatten()
    return float(np.float32(a @ b / (a.norm() * b.norm())))


def similarities(states):
    """s_1 .. s_L of the states of one row."""
    return [cosine(after, before) for before, after in zip(states, states[1:])]


def exit_layer(found, theta):
    """The first layer whose similarity exceeds theta, or the last; exits are off if theta is None."""
    passing = (i for i, value in enumerate(found, 1) if theta is not None and value > theta)
    return next(passing, len(found))


def note(margins, what, found, theta):
    """Notes how far the similarities that decided (all but the last layer's) are from theta."""
    if theta is not None:
        margins.see(what, (abs(value - theta) for value in found[: exit_layer(found, theta)][: len(found) - 1]))


class Decoder:
    """Decodes one request step by step, all its rows leaving after the same layer of a step.

    Mode `recompute` runs the whole prefix and compares all of it, `recompute_token` runs the whole prefix and compares the newest
    position, `propagate` runs the newest position over a cache that every layer has an entry in.
    """

    def __init__(self, model, source, mode, margins):
        self.model, self.source, self.mode, self.margins = model, source, mode, margins
        self.past = None

    def run(self, tokens):
        """States of all layers for the positions that are run: [rows,t,d], or [rows,1,d] with a cache."""
        rows = len(tokens)
        out = self.model.decoder(
            input_ids=tokens,
            encoder_hidden_states=self.source.hidden.expand(rows, -1, -1),
            src_pos_embed=self.source.positions.expand(rows, -1, -1),
            past_key_values=self.past,
            use_cache=True,
            output_hidden_states=True,
        )
        if self.mode == "propagate":
            self.past = list(out.past_key_values)
        return out.hidden_states

    def step(self, tokens, theta):
        """One step on prefixes [rows,t]: logits [rows,V] at the exit, the exit layer, the similarities up to it."""
        states = self.run(tokens)
        compared = states if self.mode == "recompute" else [state[:, -1:] for state in states]
        found = similarities(compared)
        note(self.margins, "decoder", found, theta)
        layer = exit_layer(found, theta)
        if self.mode == "propagate":
            self.fill_skipped(layer, states[layer])
        return head(self.model, states[layer][:, -1]), layer, found[:layer]

    def fill_skipped(self, layer, state):
        """Replaces the newest cache entry of every skipped layer by its own projections of the exit state."""
        for index in range(layer, len(self.past)):
            skipped = self.model.decoder.layers[index]
            normed = skipped.self_attn_layer_norm(state)
            entries = []
            for cached, linear in zip(self.past[index], (skipped.self_attn.k_proj, skipped.self_attn.v_proj)):
                newest = skipped.self_attn._shape(linear(normed), 1, len(state))
                entries.append(torch.cat([cached[:, :, :-1], newest], dim=2))
            self.past[index] = (*entries, *self.past[index][2:])

    def reorder(self, parents):
        """Lets row i go on from row parents[i]."""
        if self.past is not None:
            self.past = [tuple(entry[parents] for entry in layer) for layer in self.past]


def permitted(logits, step, rules):
    """Log-probabilities with PAD, a too early EOS and, at the length limit, everything but EOS ruled out."""
    scores = torch.log_softmax(logits, dim=-1)
    scores[:, PAD] = -math.inf
    if step < rules["min_len"]:
        scores[:, EOS] = -math.inf
    if step == rules["max_len"]:
        scores[:, :EOS] = scores[:, EOS + 1 :] = -math.inf
    return scores


def greedy(decoder, thetas, rules):
    """Greedy decoding; one dict of what happened per step."""
    tokens, steps = torch.zeros(1, 1, dtype=torch.long), []
    while not steps or steps[-1]["token"] != EOS:
        step = len(steps)
        logits, layer, found = decoder.step(tokens, thetas[step])
        scores = permitted(logits, step, rules)[0]
        best = scores.topk(2)
        decoder.margins.see("choice", [best.values[0] - best.values[1]])
        token = int(best.indices[0])
        steps.append({"token": token, "score": scores[token], "layer": layer, "similarities": found, "logits": logits[0]})
        tokens = torch.cat([tokens, torch.tensor([[token]])], dim=1)
    return steps


def ban_repeats(scores, tokens, size):
    """Rules out every id that would complete an n-gram that its row already holds."""
    for row, ids in zip(scores, tokens.tolist()):
        recent = ids[len(ids) - size + 1 :]
        for start in range(len(ids) - size + 1) if size else ():
            if ids[start : start + size - 1] == recent:
                row[ids[start + size - 1]] = -math.inf


def beam_search(decoder, thetas, rules):
    """Beam search with one exit decision per step; hypotheses (tokens, score) best first, and what happened per step."""
    beam = rules["beam_size"]
    tokens, totals = torch.zeros(beam, 1, dtype=torch.long), None
    done, steps = [], []
    for step in range(rules["max_len"] + 1):
        logits, layer, found = decoder.step(tokens, thetas[step])
        steps.append({"layer": layer, "similarities": found})
        scores = permitted(logits, step, rules)
        ban_repeats(scores, tokens, rules["no_repeat_ngram_size"])
        scores = scores[:1] if totals is None else scores + totals[:, None]
        values, flat = scores.flatten().topk(2 * beam + 1)
        decoder.margins.see("choice", [a - b for a, b in zip(values, values[1:]) if b > -math.inf])
        candidates = [(value, int(i) // logits.shape[1], int(i) % logits.shape[1]) for value, i in zip(values, flat[: 2 * beam])]
        for value, row, token in candidates[:beam]:
            if token == EOS and value > -math.inf and len(done) < beam:
                done.append((tokens[row, 1:].tolist() + [EOS], float(value / (step + 1) ** rules["len_penalty"])))
        if len(done) == beam:
            break
        kept = [candidate for candidate in candidates if candidate[2] != EOS][:beam]
        parents = torch.tensor([row for _, row, _ in kept])
        tokens = torch.cat([tokens[parents], torch.tensor([[token] for _, _, token in kept])], dim=1)
        totals = torch.stack([value for value, _, _ in kept])
        decoder.reorder(parents)
    return sorted(done, key=lambda hypothesis: -hypothesis[1]), steps

"""The golden cases: what each of them expects of given inputs. Every function returns the tensors of its `expected.safetensors`.

Shapes: B samples, T text tokens, I image tokens, S = I + T, P decoder prefix, L encoder and N decoder layers, V ids, d width.
"""
import types
from itertools import pairwise

import torch
from exits import Decoder, beam_search, exit_layer, greedy, note, similarities
from reference import EOS, PAD, absolute_bias, image_branch, join, joint_source, text_branch

VARIANTS = {"paper": True, "released": False}  # whether the image branch has its 2D relative bias
GREEDY_RUNS = (
    "recompute",
    "recompute_token",
    "propagate",
    "recompute.decay",
    "propagate.decay",
    "recompute.off",
    "propagate.off",
)
BEAM_RUNS = ("propagate", "recompute_token", "propagate.decay", "recompute_token.decay")


def stored(value):
    """A tensor as it is stored: f32, i64, or u8 for booleans."""
    value = torch.as_tensor(value)
    kind = torch.uint8 if value.dtype == torch.bool else torch.float32 if value.is_floating_point() else torch.int64
    return value.detach().to(kind).contiguous()


def padded(rows, fill, shape):
    """Lists of unequal length as one tensor of this shape, the rest `fill`."""
    out = torch.full(shape, fill)
    for row, values in enumerate(rows):
        values = torch.as_tensor(values, dtype=out.dtype)
        out[(row, *map(slice, values.shape))] = values
    return out


def samples(inputs):
    """The samples one by one, without padding: pixels [1,3,h,w] and tokens [1,n]."""
    for pixels, ids in zip(inputs["patch_images"], inputs["input_ids"]):
        yield pixels[None], ids[ids != PAD][None]


def captured(module, run):
    """Runs a function and returns what the module put out meanwhile."""
    kept = []
    hook = module.register_forward_hook(lambda _module, _inputs, output: kept.append(output.clone()))
    run()
    hook.remove()
    return kept[0]


def decode_batch(model, hidden, padding, positions, decoder_input_ids):
    """The reference's teacher-forced decoding of a padded batch."""
    encoded = types.SimpleNamespace(
        last_hidden_state=hidden, padding_mask=padding, position_embedding=positions, hidden_states=None, attentions=None)
    return model(encoder_outputs=encoded, decoder_input_ids=decoder_input_ids, output_hidden_states=True, output_attentions=True)


def joint(model, inputs, _golden, _margins):
    """Plain OFA: image and text encoded together, the decoder teacher-forced; every state on the way."""
    ids, pixels, prefix = inputs["input_ids"], inputs["patch_images"], inputs["decoder_input_ids"]
    encoder, stem = model.encoder, model.encoder.embed_images
    masks = torch.ones(len(ids), dtype=torch.bool)
    encode = lambda: encoder(ids, pixels, patch_masks=masks, output_hidden_states=True, output_attentions=True)
    biases = []  # the whole bias of the first layer
    note_bias = lambda _layer, _arguments, named: biases.append(named["attn_bias"])
    hook = encoder.layers[0].register_forward_pre_hook(note_bias, with_kwargs=True)
    encoded = encode()
    hook.remove()
    out = decode_batch(model, encoded.last_hidden_state, encoded.padding_mask, encoded.position_embedding, prefix)
    text = encoder(input_ids=ids)
    position_ids = encoder.get_patch_images_info(pixels[:1], None, pixels.device)[3][0]
    row, column = encoder.token_rp_bucket[0], encoder.token_rp_bucket[:, 0]
    expected = {
        "stem_pool": captured(stem.maxpool, encode)[:1],
        "stem_layer1": captured(stem.layer1, encode)[:1],
        "stem_layer2": captured(stem.layer2, encode)[:1],
        "stem_features": captured(stem, encode),
        "enc_abs_pos_bias": absolute_bias(encoder, encoded.position_embedding),
        "enc_self_attn_bias_layer1": biases[0].unflatten(0, (len(ids), -1)),
        "enc_attn_probs_layer1": encoded.attentions[0],
        "enc_embedding": encoded.hidden_states[0],
        "enc_output": encoded.last_hidden_state,
        "position_embedding": encoded.position_embedding,
        "padding_mask": encoded.padding_mask,
        "dec_valid": prefix != PAD,
        "dec_embedding": out.decoder_hidden_states[0],
        "dec_self_attn_probs_layer1": out.decoder_attentions[0],
        "dec_cross_attn_probs_layer1": out.cross_attentions[0],
        "logits": out.logits,
        "textonly.enc_output": text.last_hidden_state,
        "textonly.logits": decode_batch(model, text.last_hidden_state, text.padding_mask, text.position_embedding, prefix).logits,
        "longtext.enc_output": encoder(input_ids=inputs["longtext.input_ids"]).last_hidden_state,
        "token_bucket_of_distance": torch.cat([row[1:].flip(0), column]),
        "image_position_ids": position_ids,
        "image_rp_bucket": encoder.image_rp_bucket[position_ids][:, position_ids],
    }
    expected |= {f"enc_layer_{i}": state for i, state in enumerate(encoded.hidden_states[1:], 1)}
    return expected | {f"dec_layer_{i}": state for i, state in enumerate(out.decoder_hidden_states[1:], 1)}


def mue(model, inputs, _golden, _margins):
    """Image and text encoded apart through every layer, with both readings of the image bias; no exits."""
    ids, pixels, prefix = inputs["input_ids"], inputs["patch_images"], inputs["decoder_input_ids"]
    text, text_valid, dec_valid = text_branch(model, ids), ids != PAD, prefix != PAD
    valid = lambda states, mask: [[state[row][mask[row]] for state in states] for row in range(len(ids))]
    of_rows = lambda states, mask: [similarities(row) for row in valid(states, mask)]
    expected = {"text_valid": text_valid, "text_similarity": of_rows(text.states, text_valid)}
    expected |= {f"text_layer_{i}": state for i, state in enumerate(text.states)}
    for variant, relative in VARIANTS.items():
        image = image_branch(model, pixels, relative)
        everywhere = torch.ones(image.states[0].shape[:2], dtype=torch.bool)
        padding = torch.cat([~everywhere, ~text_valid], dim=1)
        source = join(model, image, text, (-1, -1))
        out = decode_batch(model, source.hidden, padding, source.positions, prefix)
        states = out.decoder_hidden_states
        tokens = torch.full((*prefix.shape, len(states) - 1), -2.0)
        for row, position in dec_valid.nonzero().tolist():
            tokens[row, position] = torch.tensor(similarities([state[row, position] for state in states]))
        made = {"enc_output": source.hidden, "logits": out.logits, "dec_token_similarity": tokens}
        made["image_similarity"] = of_rows(image.states, everywhere)
        made["dec_similarity"] = of_rows(states, dec_valid)
        made |= {f"image_layer_{i}": state for i, state in enumerate(image.states)}
        made |= {f"dec_layer_{i}": state for i, state in enumerate(states)}
        expected |= {f"{variant}.{name}": value for name, value in made.items()}
    return expected | {"source_padding_mask": padding, "position_embedding": source.positions}


def leave(branch, theta, margins):
    """Similarities at full depth and exit layer of a branch of one sample."""
    found = similarities(branch.states)
    note(margins, "encoder", found, theta)
    return found, exit_layer(found, theta)


def encode_with_exits(model, pixels, ids, golden, margins, relative=True):
    """Source, and (similarities, exit layer) of image branch and text branch, of one sample."""
    image, text = image_branch(model, pixels, relative), text_branch(model, ids)
    left = [leave(branch, golden["thresholds"][name], margins) for branch, name in ((image, "image"), (text, "text"))]
    return join(model, image, text, [layer for _, layer in left]), *left


def thresholds(inputs, golden, kind, count):
    """One decoder threshold per step: constant, `decay` or `off`."""
    constant = {"": golden["thresholds"]["decoder"], "off": None}
    return inputs["decoder_threshold_schedule"].tolist() if kind == "decay" else [constant[kind]] * count


def mue_exit(model, inputs, golden, margins):
    """Exits in both encoder branches and in the decoder, greedy, in three modes of decoder state."""
    batch, steps, layers = len(inputs["input_ids"]), golden["max_len"] + 1, len(model.decoder.layers)
    vocabulary, width = model.config.vocab_size, model.config.d_model
    expected, sources = {}, []
    for variant, relative in VARIANTS.items():
        encoded = [encode_with_exits(model, *sample, golden, margins, relative) for sample in samples(inputs)]
        tokens = max(source.hidden.shape[1] for source, _, _ in encoded)
        expected[f"{variant}.enc_output"] = padded([source.hidden[0] for source, _, _ in encoded], 0.0, (batch, tokens, width))
        expected[f"{variant}.image_similarity"] = [image[0] for _, image, _ in encoded]
        expected[f"{variant}.image_exit_layer"] = [image[1] for _, image, _ in encoded]
        expected["text_similarity"], expected["text_exit_layer"] = zip(*(text for _, _, text in encoded))
        sources = sources or [source for source, _, _ in encoded]  # decoding is of the paper variant
    for name in GREEDY_RUNS:
        mode, _, kind = name.partition(".")
        thetas = thresholds(inputs, golden, kind, steps)
        runs = [greedy(Decoder(model, source, mode, margins), thetas, golden) for source in sources]
        expected[f"{name}.lengths"] = [len(run) for run in runs]
        expected[f"{name}.tokens"] = per_step(runs, "token", PAD, (batch, steps))
        expected[f"{name}.exit_layers"] = per_step(runs, "layer", 0, (batch, steps))
        expected[f"{name}.step_scores"] = per_step(runs, "score", 0.0, (batch, steps))
        expected[f"{name}.logits"] = per_step(runs, "logits", 0.0, (batch, steps, vocabulary))
        expected[f"{name}.similarities"] = per_step(runs, "similarities", -2.0, (batch, steps, layers))
    return expected


def per_step(runs, field, fill, shape):
    """What the steps of all samples have under a name, as [B,steps,..], `fill` where there is nothing."""
    values = [[step[field] for step in run] for run in runs]
    return torch.stack([padded(of_sample, fill, shape[1:]) for of_sample in values])


def beam(model, inputs, golden, margins, package):
    """Plain OFA's beam search by the package's own generator, in one padded batch."""
    net_input = {"input_ids": inputs["input_ids"], "patch_images": inputs["patch_images"]}
    net_input["patch_masks"] = torch.ones(len(inputs["input_ids"]), dtype=torch.bool)
    vocabulary = {str(i): i for i in range(model.config.vocab_size)}
    tokenizer = types.SimpleNamespace(
        get_vocab=lambda: vocabulary, get_added_vocab=dict, bos_token_id=0, pad_token_id=PAD, eos_token_id=EOS, unk_token_id=3)
    expected = {}
    for index, rules in enumerate(golden["runs"]):
        found = package.generator.SequenceGenerator(tokenizer, **rules).generate([model], {"net_input": net_input})
        best = [[(found_one["tokens"].tolist(), float(found_one["score"])) for found_one in sample] for sample in found]
        made = hypotheses(best, rules, margins)
        per_id = [[found_one["positional_scores"] for found_one in sample] for sample in found]
        made["positional_scores"] = torch.stack([padded(sample, 0.0, made["tokens"].shape[1:]) for sample in per_id])
        expected |= {f"run{index}.{name}": value for name, value in made.items()}
    return expected


def hypotheses(found, rules, margins):
    """The n-best lists of all samples as tensors."""
    for sample in found:
        margins.see("choice", [a[1] - b[1] for a, b in pairwise(sample)])
    shape = (rules["beam_size"], rules["max_len_b"] + 1)
    return {
        "tokens": torch.stack([padded([ids for ids, _ in sample], PAD, shape) for sample in found]),
        "lengths": [[len(ids) for ids, _ in sample] for sample in found],
        "scores": [[score for _, score in sample] for sample in found],
    }


def search_rules(run):
    """The settings of one entry of `golden.runs` under the names that the own search uses."""
    return run | {"max_len": run["max_len_b"]}


def mue_beam(model, inputs, golden, margins):
    """Beam search with exits in encoder and decoder, each sample alone."""
    rules, layers, expected = search_rules(golden["runs"][0]), len(model.decoder.layers), {}
    steps = rules["max_len"] + 1
    encoded = [encode_with_exits(model, *sample, golden, margins) for sample in samples(inputs)]
    expected["encoder_exit_layers"] = [[image[1], text[1]] for _, image, text in encoded]
    for name in BEAM_RUNS:
        mode, _, kind = name.partition(".")
        thetas = thresholds(inputs, golden, kind, steps)
        found, runs = zip(*(beam_search(Decoder(model, source, mode, margins), thetas, rules) for source, _, _ in encoded))
        made = hypotheses(found, rules, margins)
        made["steps"] = [len(run) for run in runs]
        made["exit_layers"] = per_step(runs, "layer", 0, (len(runs), steps))
        made["similarities"] = per_step(runs, "similarities", -2.0, (len(runs), steps, layers))
        expected |= {f"{name}.{key}": value for key, value in made.items()}
    return expected


def entailment(model, inputs, golden, margins):
    """Scores of three answer tokens after one decoder pass over the prompt: plain, decomposed, decomposed with exits."""
    made = {name: [] for name in ("joint", "mue", "mue_exit")}
    exits = []
    for pixels, ids in samples(inputs):
        prompt = ids[:, :-1]
        apart = join(model, image_branch(model, pixels, True), text_branch(model, ids), (-1, -1))
        source, image, text = encode_with_exits(model, pixels, ids, golden, margins)
        for name, of in (("joint", joint_source(model, pixels, ids)), ("mue", apart), ("mue_exit", source)):
            theta = golden["thresholds"]["decoder"] if name == "mue_exit" else None
            logits, layer, _ = Decoder(model, of, "recompute", margins).step(prompt, theta)
            made[name].append(logits[0])
        exits.append([image[1], text[1], layer])
    expected = {"joint.logits": torch.stack(made["joint"]), "mue_exit.exit_layers": exits}
    for name, logits in made.items():
        scores = torch.stack(logits)[:, inputs["answer_ids"]]
        best = scores.topk(2).values
        margins.see("choice", best[:, 0] - best[:, 1])
        answer = {"answer_logits": scores, "answer_logprobs": torch.log_softmax(scores, dim=-1), "answer": scores.argmax(dim=-1)}
        expected |= {f"{name}.{key}": value for key, value in answer.items()}
    return expected

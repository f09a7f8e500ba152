"""What ties the golden cases to the package where the package has no code for them."""
import math

import torch
from cases import hypotheses, samples, search_rules, stored
from exits import Decoder, Margins, beam_search
from reference import image_branch, joint_source, text_branch


def verify(name, model, inputs, golden, made):
    """Fails if the branches, the cache or the search disagree with the package's own encoder, decoder or generator."""
    if name == "mue":
        text, image = (text_branch(model, inputs["input_ids"]), image_branch(model, inputs["patch_images"], True))
        apart = torch.cat([image.states[-1], text.states[-1]], dim=1)
        same(apart, masked_joint(model, inputs), made["source_padding_mask"] == 0)
    if name == "mue-exit":
        assert torch.equal(made["recompute.off.tokens"], made["propagate.off.tokens"])
        same(made["recompute.off.logits"], made["propagate.off.logits"])
    if name == "beam":
        for index, run in enumerate(golden["runs"]):
            for mode in ("propagate", "recompute_token"):
                rules = search_rules(run)
                decoders = [Decoder(model, joint_source(model, *sample), mode, Margins()) for sample in samples(inputs)]
                found = [beam_search(decoder, [None] * (rules["max_len"] + 1), rules)[0] for decoder in decoders]
                for key, value in hypotheses(found, run, Margins()).items():
                    same(stored(value), made[f"run{index}.{key}"])


def same(a, b, where=...):
    """Fails unless two tensors agree up to rounding."""
    assert torch.allclose(a[where].double(), b[where].double(), atol=1e-4), (a - b).abs().max()


def masked_joint(model, inputs):
    """The last encoder states of plain OFA with all attention between image and text taken away."""
    pixels, ids = inputs["patch_images"], inputs["input_ids"]
    images = image_branch(model, pixels[:1], True).positions.shape[1]

    def block(_layer, arguments, named):
        bias = named["attn_bias"].clone()
        bias[:, :images, images:] = bias[:, images:, :images] = -math.inf
        return arguments, named | {"attn_bias": bias}

    hooks = [layer.register_forward_pre_hook(block, with_kwargs=True) for layer in model.encoder.layers]
    everywhere = torch.ones(len(ids), dtype=torch.bool)
    out = model.encoder(ids, pixels, patch_masks=everywhere, output_hidden_states=True)
    for hook in hooks:
        hook.remove()
    return out.hidden_states[-1]

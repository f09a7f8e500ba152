"""The reference model: the public PyTorch OFA of PyPI's modelscope package, with weights that follow the recipe.

The package's model, generator and stem run as they are; nothing of them is repeated here. What the package cannot do (encode the
image and the text apart, leave early) is put together from its own layers.
"""
import fnmatch
import importlib
import math
import os
import sys
import types
from dataclasses import dataclass

import numpy as np
import torch

PAD, EOS = 1, 2
MASK64 = (1 << 64) - 1
GAMMA = 0x9E3779B97F4A7C15  # SplitMix64's increment
ENCODER_GAINS = (0.50, 0.60, 0.40, 0.30, 0.45, 0.25)
DECODER_GAINS = (0.45, 0.60, 0.70, 0.80, 0.50, 0.40)
DERIVED = ("*_rp_bucket", "*image_position_idx", "*num_batches_tracked")  # buffers that are no weights
OURS = ("resnet_layers", "layer_norm_eps", "batch_norm_eps", "golden", "model_type")  # not for OFAConfig


@dataclass
class Package:
    """The modules of modelscope that are used."""

    modeling: types.ModuleType
    configuration: types.ModuleType
    generator: types.ModuleType


def load_package(root):
    """Imports the OFA part of an unpacked modelscope wheel without running the `__init__` files around it."""
    folder, names = root, ("modelscope", "models", "multi_modal", "ofa", "generate")
    for depth, name in enumerate(names):
        folder = os.path.join(folder, name)
        package = types.ModuleType(".".join(names[: depth + 1]))
        package.__path__ = [folder]
        sys.modules[package.__name__] = package
    fairseq, modules = types.ModuleType("fairseq"), types.ModuleType("fairseq.modules")
    fairseq.modules, modules.LayerNorm = modules, torch.nn.LayerNorm  # all that is asked of fairseq
    sys.modules.update({"fairseq": fairseq, "fairseq.modules": modules})
    prefix = "modelscope.models.multi_modal.ofa."
    wanted = ("modeling_ofa", "configuration_ofa", "generate.sequence_generator")
    return Package(*(importlib.import_module(prefix + name) for name in wanted))


def uniform(seed, key, count):
    """`count` numbers of (0, 1) in f64: the SplitMix64 stream that belongs to a seed and a name."""
    state = 0xCBF29CE484222325
    for byte in key.encode():
        state = (state ^ byte) * 0x100000001B3 & MASK64  # FNV-1a
    state ^= seed * GAMMA & MASK64
    mixed = np.uint64(state) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(GAMMA)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return ((mixed >> np.uint64(40)) + 0.5) / 2.0**24


def moments(key, shape, config):
    """Mean and standard deviation of a weight: the first rule of the recipe that its name matches."""
    d, parts = config["d_model"], key.split(".")
    ffn, gains = (config["encoder_ffn_dim"], ENCODER_GAINS) if parts[0] == "encoder" else (config["decoder_ffn_dim"], DECODER_GAINS)
    gain = gains[int(parts[2]) % 6] if parts[1] == "layers" else None
    stem, fan_in = "encoder.embed_images.", math.prod(shape[1:])
    rules = (
        ("*running_mean", 0, 0.1),
        ("*running_var", 1, 0.25),
        (stem + "*conv?.weight", 0, math.sqrt(2 / fan_in)),
        (stem + "*downsample.0.weight", 0, math.sqrt(2 / fan_in)),
        (stem + "*bn3.weight", 0.6, 0.1),
        (stem + "*downsample.1.weight", 0.8, 0.1),
        (stem + "*.weight", 1, 0.15),
        (stem + "*.bias", 0, 0.1),
        ("*c_attn", 1, 0.25),
        ("*rel_pos_table_list.*.weight", 0, 0.5),
        ("*_mid_layer_norm.weight", gain, 0.15 * (gain or 0)),
        ("decoder.layer_norm.bias", 0, 0.2),
        ("decoder.layer_norm.weight", 0, 1),
        ("*norm*.weight", 1, 0.15),
        ("*pos_ln.weight", 1, 0.15),
        ("*embed_tokens.weight", 0, 2.5 / math.sqrt(d)),
        ("*embed_positions.weight", 0, 0.1),
        ("*embed_image_positions.weight", 0, 0.1),
        ("*type_embedding.weight", 0, 0.2),
        ("*image_proj.weight", 0, 1 / 32),
        ("*.[qk]_proj.weight", 0, 1.5 / math.sqrt(d)),
        ("*pos_[qk]_linear.weight", 0, 1.2 / math.sqrt(d)),
        ("*fc2.weight", 0, (gain or 0) / math.sqrt(ffn)),
        ("*.weight", 0, 1 / math.sqrt(d)),
        ("*.bias", 0, 0.1),
    )
    return next((mean, std) for pattern, mean, std in rules if fnmatch.fnmatchcase(key, pattern))


def weights(shapes, config):
    """The recipe's weights for tensors of these names and shapes, in f32."""
    golden, made = config["golden"], {}
    for key, shape in shapes.items():
        if any(fnmatch.fnmatchcase(key, pattern) for pattern in DERIVED):
            continue
        tied = key.endswith("embed_tokens.weight") or key == "decoder.output_projection.weight"
        key_of_stream = "encoder.embed_tokens.weight" if tied else key
        mean, std = moments(key_of_stream, shape, config)
        values = mean + std * math.sqrt(12) * (uniform(golden["seed"], key_of_stream, math.prod(shape)) - 0.5)
        made[key] = torch.from_numpy(values.astype(np.float32)).reshape(shape)
    pull = np.float32(golden["eos_pull"]) * made["decoder.layer_norm.bias"]
    for key in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "decoder.output_projection.weight"):
        made[key][EOS] += pull  # makes the end of a hypothesis likely enough that lengths differ
    return made


def build(package, config, dtype):
    """The reference model in eval mode, with the recipe's weights."""
    fields = {key: value for key, value in config.items() if key not in OURS}
    model = package.modeling.OFAModel(package.configuration.OFAConfig(**fields))
    model.encoder.embed_images = type(model.encoder.embed_images)(config["resnet_layers"])
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    missing = model.load_state_dict(weights(shapes, config), strict=False).missing_keys
    assert all(any(fnmatch.fnmatchcase(key, pattern) for pattern in DERIVED) for key in missing), missing
    return model.eval().to(dtype)


@dataclass
class Branch:
    """One modality's way through the encoder: `states[i]` is the residual stream [B,n,d] after layer i."""

    states: tuple
    positions: torch.Tensor  # [B,n,d], for the cross-attention


@dataclass
class Source:
    """What the decoder attends to."""

    hidden: torch.Tensor  # [B,S,d], after the final encoder LayerNorm
    positions: torch.Tensor  # [B,S,d]


def text_branch(model, input_ids):
    """The text alone: the reference encoder without an image."""
    out = model.encoder(input_ids=input_ids, output_hidden_states=True)
    return Branch(out.hidden_states, out.position_embedding)


def image_branch(model, pixels, relative):
    """The image alone: the reference's embeddings, biases and layers; `relative` adds the per-layer 2D bias (paper)."""
    encoder = model.encoder
    features, count, _, ids, positions = encoder.get_patch_images_info(pixels, None, pixels.device)
    no_text = torch.zeros(len(pixels), 0, dtype=torch.long)
    state, _ = encoder.forward_embedding(no_text, image_embed=features)
    positions = encoder.image_pos_ln(positions)
    absolute, states = absolute_bias(encoder, positions), [state]
    for index, layer in enumerate(encoder.layers):
        bias = absolute + encoder.get_image_rel_pos_bias(ids, index) if relative else absolute
        state = layer(state, None, attn_bias=bias.reshape(-1, count, count))[0]
        states.append(state)
    return Branch(tuple(states), positions)


def absolute_bias(encoder, positions):
    """Absolute-position bias [B,H,n,n] of encoder positions [B,n,d]."""
    heads = lambda linear: linear(positions).unflatten(-1, (encoder.num_attention_heads, -1)).transpose(1, 2)
    return heads(encoder.pos_q_linear) * encoder.pos_scaling @ heads(encoder.pos_k_linear).mT


def join(model, image, text, layers):
    """The decoder's source: image state and text state after so many layers of their branches."""
    states = torch.cat([image.states[layers[0]], text.states[layers[1]]], dim=1)
    return Source(model.encoder.layer_norm(states), torch.cat([image.positions, text.positions], dim=1))


def joint_source(model, pixels, input_ids):
    """The decoder's source of plain OFA: image and text encoded together."""
    out = model.encoder(input_ids=input_ids, patch_images=pixels, patch_masks=torch.ones(len(pixels), dtype=torch.bool))
    return Source(out.last_hidden_state, out.position_embedding)


def head(model, states):
    """Logits: final decoder LayerNorm and tied projection."""
    return model.decoder.output_projection(model.decoder.layer_norm(states))

#!/usr/bin/env python3
"""Writes the golden cases of crates/mue-model/tests/goldens, or checks that folders of that layout can be reproduced.

The numbers come from the public PyTorch OFA (PyPI's modelscope 1.40.2, `modeling_ofa.py`; eval mode, CPU, one thread) on weights
that follow the recipe in the README of crates/mue-model/tests/goldens. Set up once (about 7 GB on disk):

    python3 -m venv .peer && .peer/bin/pip install torch==2.8.0 torchvision==0.23.0 transformers==4.48.3 pillow numpy packaging
    .peer/bin/pip download --no-deps -d .peer/dl modelscope==1.40.2 && unzip -q -o '.peer/dl/*.whl' -d .peer/modelscope
    .peer/bin/python tools/goldens/generate.py --modelscope .peer/modelscope write crates/mue-model/tests/goldens
    .peer/bin/python tools/goldens/generate.py --modelscope .peer/modelscope check crates/mue-model/tests/goldens/*/

The inputs are functions of fixed seeds, so that a second run writes the same numbers up to rounding noise of the reference.
"""
import argparse
import functools
import json
import math
import pathlib
import warnings

import cases
import numpy as np
import torch
from exits import Margins
from reference import EOS, PAD, build, load_package, uniform, weights
from safetensors.torch import load_file, save_file
from verify import verify

MODEL = {
    "vocab_size": 90,
    "d_model": 24,
    "encoder_layers": 3,
    "decoder_layers": 4,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 3,
    "encoder_ffn_dim": 40,
    "decoder_ffn_dim": 56,
    "resnet_type": "resnet50",
    "activation_function": "gelu",
    "max_position_embeddings": 1024,
    "encoder_normalize_before": True,
    "decoder_normalize_before": True,
    "normformer": True,
    "layernorm_embedding": True,
    "patch_layernorm_embedding": True,
    "token_bucket_size": 16,
    "image_bucket_size": 8,
    "add_type_embedding": True,
    "share_decoder_input_output_embed": True,
    "attn_scale_factor": 2.0,
    "code_layernorm_embedding": True,
    "code_image_size": 128,
    "entangle_position_embedding": False,
    "interpolate_position": False,
    "orig_patch_image_size": 224,
    "share_attn_bias": False,
    "use_image_feature": True,
    "disable_entangle": False,
    "use_ofasys": False,
    "use_gamma_feature": False,
    "scale_embedding": False,
    "pad_token_id": PAD,
    "bos_token_id": 0,
    "decoder_start_token_id": 0,
    "eos_token_id": EOS,
    "model_type": "ofa",
    "resnet_layers": [2, 1, 1],
    "layer_norm_eps": 1e-5,
    "batch_norm_eps": 1e-5,
}
OWN_FIELDS = (
    "resnet_layers, layer_norm_eps, batch_norm_eps and this object are ours, the rest are HF OFA config fields; "
    "resnet_layers overrides the counts implied by resnet_type"
)
WEIGHTS = {"seed": 28, "eos_pull": 4.0, "note": OWN_FIELDS}
THRESHOLDS = {"image": 0.7475, "text": 0.8575, "decoder": 0.84}
DECAY = {"beta": 0.9, "tau": 2.0}
SEEDS = {"joint": 1, "mue": 1, "mue-exit": 8, "beam": 22, "entailment": 3}  # of the inputs, picked for exits that vary
MARGINS_MIN = {"encoder": 1e-3, "decoder": 2e-4, "choice": 1e-4}
TOLERANCES = (  # (end of the name, absolute, relative); the first that fits
    ("stem_features", 5e-4, 2e-4),
    ("probs_layer1", 1e-4, 0),
    ("positional_scores", 1e-3, 0),
    ("logits", 1e-3, 0),
    ("logprobs", 5e-4, 0),
    ("scores", 5e-4, 0),
    ("similarity", 2e-5, 0),
    ("similarities", 2e-5, 0),
    ("", 2e-4, 1e-4),
)


class Case:
    """A case to write: the fields of `golden` beside the weights', and the inputs."""

    def __init__(self, name, image_hw, lengths, **golden):
        self.name, self.image_hw = name, image_hw
        self.golden = WEIGHTS | {"image_hw": list(image_hw)} | golden
        self.inputs = {
            "input_ids": self.ids("input_ids", lengths, closed=True),
            "patch_images": torch.stack([self.picture(f"picture{i}") for i in range(len(lengths))]),
        }

    def uniform(self, what, count):
        return uniform(SEEDS[self.name], f"{self.name} {what}", count)

    def ids(self, what, lengths, closed):
        """Rows of BOS and drawn ids, with EOS at the end if closed, padded."""
        rows = []
        for row, length in enumerate(lengths):
            drawn = 4 + (self.uniform(f"{what}{row}", length - 1 - closed) * (MODEL["vocab_size"] - 4)).astype(int)
            rows.append([0, *drawn.tolist(), *[EOS] * closed])
        return cases.padded(rows, PAD, (len(lengths), max(lengths)))

    def picture(self, what):
        """A wave and noise in a mixture of their own, as 8-bit pixels normalised to [-1,1]."""
        height, width = self.image_hw
        down, right = np.mgrid[0:height, 0:width] / 16
        mix, strength = self.uniform(f"{what} mix", 2)
        channels = []
        for channel in "rgb":
            offset, fall, slope, phase = self.uniform(f"{what} {channel} wave", 4)
            wave = np.sin(2 * math.pi * ((2 * fall - 1) * down + (2 * slope - 1) * right + phase))
            noise = 2 * self.uniform(f"{what} {channel} noise", height * width).reshape(height, width) - 1
            channels.append(offset - 0.5 + (0.2 + 0.8 * strength) * (mix * wave + (1 - mix) * noise))
        bytes_ = np.round((np.clip(np.stack(channels), -1, 1) + 1) * 127.5)
        return torch.from_numpy((bytes_ / 127.5 - 1).astype(np.float32))

    def schedule(self, max_len):
        """Decaying decoder thresholds, one per step."""
        theta, beta, tau = THRESHOLDS["decoder"], DECAY["beta"], DECAY["tau"]
        made = [beta * theta + (1 - beta) * math.exp(-tau * step / max_len) for step in range(max_len + 1)]
        self.inputs["decoder_threshold_schedule"] = torch.tensor(made)


def joint():
    """Plain OFA: every state of a padded batch, and a text long enough for the logarithmic position buckets."""
    case = Case("joint", (32, 48), (6, 4))
    case.inputs["decoder_input_ids"] = case.ids("decoder_input_ids", (5, 3), closed=False)
    case.inputs["longtext.input_ids"] = case.ids("longtext", (28,), closed=True)
    return case


def mue():
    """Image and text apart, every layer."""
    case = Case("mue", (48, 80), (4, 7))
    case.inputs["decoder_input_ids"] = case.ids("decoder_input_ids", (3, 6), closed=False)
    return case


def mue_exit():
    """Exits in encoder and decoder, greedy decoding."""
    case = Case("mue-exit", (32, 48), (8, 5, 3, 6), thresholds=THRESHOLDS, decay=DECAY, max_len=8, min_len=1)
    case.schedule(8)
    return case


def beam():
    """Plain OFA's beam search, with two settings."""
    run_0 = {"beam_size": 5, "max_len_b": 9, "min_len": 1, "no_repeat_ngram_size": 3, "len_penalty": 1.0}
    run_1 = {"beam_size": 3, "max_len_b": 6, "min_len": 2, "no_repeat_ngram_size": 2, "len_penalty": 0.8}
    return Case("beam", (48, 32), (7, 4), runs=[run_0, run_1])


def mue_beam():
    """Beam search with exits, on the inputs and first setting of `beam`."""
    case = beam()
    case.golden |= {"runs": case.golden["runs"][:1], "thresholds": THRESHOLDS}
    case.schedule(case.golden["runs"][0]["max_len_b"])
    return case


def entailment():
    """Scores of three answers."""
    case = Case("entailment", (32, 48), (8, 5, 6), thresholds=THRESHOLDS)
    case.inputs["answer_ids"] = torch.tensor([17, 45, 80])
    return case


WRITERS = {"joint": joint, "mue": mue, "mue-exit": mue_exit, "beam": beam, "mue-beam": mue_beam, "entailment": entailment}
LEFT_OUT = ("stem_pool", "stem_layer1", "stem_layer2")  # the stem's inner states: too big for what they add


def run(package, name, config, inputs, dtype):
    """What the reference makes of a case's inputs, in f32 or f64, and how close its decisions were."""
    functions = {
        "joint": cases.joint,
        "mue": cases.mue,
        "mue-exit": cases.mue_exit,
        "beam": functools.partial(cases.beam, package=package),
        "mue-beam": cases.mue_beam,
        "entailment": cases.entailment,
    }
    model, margins = build(package, config, dtype), Margins()
    inputs = inputs | {"patch_images": inputs["patch_images"].to(dtype)}
    with torch.inference_mode():
        made = functions[name](model, inputs, config["golden"], margins)
        made = {key: cases.stored(value) for key, value in made.items()}
        verify(name, model, inputs, config["golden"], made)
    return made, margins


def differences(expected, found):
    """Names of the tensors of `expected` that `found` lacks or has otherwise, and the greatest difference of floats."""
    wrong, worst = [], 0.0
    for name, tensor in expected.items():
        other = found.get(name)
        if other is None or other.shape != tensor.shape or other.dtype != tensor.dtype:
            wrong.append(name)
        elif tensor.is_floating_point():
            absolute, relative = next((a, r) for end, a, r in TOLERANCES if name.endswith(end))
            worst = max(worst, float((other - tensor).abs().max()))
            wrong += [name] if not torch.allclose(other, tensor, rtol=relative, atol=absolute) else []
        elif not torch.equal(other, tensor):
            wrong.append(name)
    return wrong, worst


def write(package, root):
    """Writes every case, refusing one whose decisions hang on rounding noise."""
    for name, writer in WRITERS.items():
        case, folder = writer(), root / f"tiny-{name}"
        config = MODEL | {"golden": case.golden}
        expected, margins = run(package, name, config, case.inputs, torch.float32)
        exact, _ = run(package, name, config, case.inputs, torch.float64)
        wrong, worst = differences(exact, expected)
        near = [what for what, least in MARGINS_MIN.items() if getattr(margins, what) < least]
        if wrong or near:
            raise SystemExit(f"{folder.name}: not robust: differs in f64 {wrong}, decisions too close {near} {vars(margins)}")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
        save_file(case.inputs, folder / "inputs.safetensors")
        save_file({key: value for key, value in expected.items() if key not in LEFT_OUT}, folder / "expected.safetensors")
        size = sum(file.stat().st_size for file in folder.iterdir())
        print(f"{folder.name}: {size} bytes, f32 - f64 {worst:.1e}, margins {vars(margins)}")
        for key, value in expected.items():
            if key.endswith(("exit_layer", "exit_layers", "lengths", "answer")):
                print(f"  {key} {value.tolist()}")


def check(package, folders):
    """Compares stored cases of any model with what the reference makes of their inputs."""
    failed = False
    for folder in map(pathlib.Path, folders):
        config = json.loads((folder / "config.json").read_text())
        name = folder.name.removeprefix("tiny-").removeprefix("micro-")
        expected, inputs = (load_file(folder / f"{part}.safetensors") for part in ("expected", "inputs"))
        found, margins = run(package, name, config, inputs, torch.float32)
        wrong, worst = differences(expected, found)
        if "weights_file" in config["golden"]:
            stored = load_file(folder / config["golden"]["weights_file"])
            recipe = weights({key: tuple(value.shape) for key, value in stored.items()}, config)
            wrong += [key for key, value in stored.items() if not torch.equal(value, recipe[key])]
        failed |= bool(wrong)
        print(f"{folder.name}: {len(expected)} tensors, greatest difference {worst:.1e}, wrong {wrong}, margins {vars(margins)}")
    raise SystemExit(failed)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--modelscope", required=True, help="folder of the unpacked modelscope wheel")
    parser.add_argument("action", choices=("write", "check"))
    parser.add_argument("folders", nargs="+", help="write: the folder of all cases; check: the cases")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    package = load_package(arguments.modelscope)
    if arguments.action == "write":
        write(package, pathlib.Path(arguments.folders[0]))
    else:
        check(package, arguments.folders)


if __name__ == "__main__":
    main()

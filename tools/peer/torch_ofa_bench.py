#!/usr/bin/env python3
"""Times the public PyTorch OFA (the one in PyPI's modelscope package) on random weights, stage by stage.

The peer that our own speed is compared with, on the same machine in the same run. Prints one JSON object per line.

Set up once (about 7 GB on disk, 2 minutes):
    python3 -m venv .peer && .peer/bin/pip install torch==2.8.0 torchvision==0.23.0 transformers==4.48.3 pillow numpy packaging
    .peer/bin/pip download --no-deps -d .peer/dl modelscope==1.40.2 && unzip -q -o '.peer/dl/*.whl' -d .peer/modelscope
    .peer/bin/python tools/peer/torch_ofa_bench.py --modelscope .peer/modelscope --size base --pixels 480 --threads 2
"""
import argparse, importlib, json, sys, time, types, warnings

warnings.filterwarnings("ignore")
SIZES = {  # d_model, layers, heads, resnet
    "tiny": (256, 4, 4, "resnet50"), "medium": (512, 4, 8, "resnet101"),
    "base": (768, 6, 12, "resnet101"), "large": (1024, 12, 16, "resnet152"),
}


def load_reference(root):
    """Imports modeling_ofa without the rest of modelscope."""
    import torch
    fairseq, modules = types.ModuleType("fairseq"), types.ModuleType("fairseq.modules")
    modules.LayerNorm = torch.nn.LayerNorm
    fairseq.modules = modules
    sys.modules.update({"fairseq": fairseq, "fairseq.modules": modules})
    base = root + "/modelscope/models/multi_modal/ofa"
    for name, path in (("ofa_peer", base), ("ofa_peer.generate", base + "/generate"), ("ofa_peer.utils", base + "/utils")):
        package = types.ModuleType(name)
        package.__path__ = [path]
        sys.modules[name] = package
    return importlib.import_module("ofa_peer.modeling_ofa"), importlib.import_module("ofa_peer.configuration_ofa")


def best_of(runs, call):
    call()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return round(min(times) * 1e3, 2), round(sorted(times)[len(times) // 2] * 1e3, 2)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--modelscope", required=True)
    p.add_argument("--size", default="base", choices=SIZES)
    p.add_argument("--pixels", type=int, default=480)
    p.add_argument("--batch", type=int, default=1)
    p.add_argument("--tokens", type=int, default=12)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--runs", type=int, default=5)
    p.add_argument("--dtypes", default="float32,bfloat16")
    a = p.parse_args()
    import torch
    torch.manual_seed(0)
    torch.set_num_threads(a.threads)
    modeling, configuration = load_reference(a.modelscope)
    d, layers, heads, resnet = SIZES[a.size]
    config = configuration.OFAConfig(
        encoder_layers=layers, decoder_layers=layers, d_model=d, encoder_attention_heads=heads,
        decoder_attention_heads=heads, encoder_ffn_dim=4 * d, decoder_ffn_dim=4 * d, resnet_type=resnet)
    model = modeling.OFAModel(config).eval()
    prompt = torch.randint(4, 50000, (a.batch, 8))
    hypothesis = torch.randint(4, 50000, (a.batch, 24))
    mask = torch.tensor([True] * a.batch)
    for name in a.dtypes.split(","):
        dtype = getattr(torch, name)
        model = model.to(dtype)
        image = torch.randn(a.batch, 3, a.pixels, a.pixels).to(dtype)
        with torch.inference_mode():
            encode = lambda ids: model.encoder(input_ids=ids, patch_images=image, patch_masks=mask)

            def decode(encoded, tokens, steps, beams):
                rows = [i for i in range(a.batch) for _ in range(beams)]
                hidden, positions = encoded.last_hidden_state[rows], encoded.position_embedding[rows]
                padding = encoded.padding_mask[rows]
                tokens, past = tokens[rows], None
                for _ in range(steps):
                    width = tokens.shape[1] if past is None else 1
                    out = model.decoder(
                        input_ids=tokens, attention_mask=torch.zeros_like(tokens).bool(),
                        encoder_hidden_states=hidden, encoder_attention_mask=modeling._expand_mask(padding, dtype, width),
                        src_pos_embed=positions, past_key_values=past, use_cache=True)
                    past = out.past_key_values
                    tokens = torch.cat([tokens, out.last_hidden_state[:, -1:].argmax(-1)], 1)

            bos = torch.zeros(a.batch, 1, dtype=torch.long)
            caption, entail = encode(prompt), encode(hypothesis)
            stages = {
                "stem": lambda: model.encoder.embed_images(image),
                "encode": lambda: encode(prompt),
                "decode_greedy": lambda: decode(caption, bos, a.tokens, 1),
                "decode_beam5": lambda: decode(caption, bos, a.tokens, 5),
                "caption_greedy": lambda: decode(encode(prompt), bos, a.tokens, 1),
                "entailment": lambda: decode(encode(hypothesis), hypothesis[:, :-1], 1, 1),
            }
            del entail
            for stage, call in stages.items():
                low, median = best_of(a.runs, call)
                print(json.dumps({"peer": "pytorch " + torch.__version__, "size": a.size, "pixels": a.pixels, "batch": a.batch,
                                  "tokens": a.tokens, "threads": a.threads, "dtype": name, "stage": stage,
                                  "min_ms": low, "median_ms": median}), flush=True)


if __name__ == "__main__":
    main()

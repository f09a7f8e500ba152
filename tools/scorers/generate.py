#!/usr/bin/env python3
"""Writes the fixtures of mue-scores into a folder. The README says how to set it up."""
import json
import pathlib
import sys

import corpora
import official


def write(folder, name, value):
    text = json.dumps(value, ensure_ascii=False, indent=1)
    (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def tokens():
    captions = json.loads((pathlib.Path(__file__).parent / "captions.json").read_text(encoding="utf-8"))
    return {
        kind: [{"caption": caption, "text": " ".join(words)} for caption, words in zip(listed, official.tokenize(listed))]
        for kind, listed in captions.items()
    }


def scores():
    return [
        {
            "name": name,
            "samples": [{"candidate": candidate, "references": references} for candidate, references in samples],
            "expected": official.score(samples),
        }
        for name, samples in corpora.CORPORA.items()
    ]


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    write(folder, "tokenizer", tokens())
    write(folder, "scores", scores())


if __name__ == "__main__":
    main()

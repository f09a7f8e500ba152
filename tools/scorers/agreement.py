#!/usr/bin/env python3
"""Compares a tokenizer command (captions in, tokens out, one line each) with the original on a file of captions."""
import pathlib
import shlex
import subprocess
import sys

import official


def main():
    text = pathlib.Path(sys.argv[1]).read_text(encoding="utf-8")
    captions = [line for line in text.split("\n") if line.strip()]
    ours = subprocess.run(shlex.split(sys.argv[2]), input="\n".join(captions) + "\n", capture_output=True, text=True, check=True)
    pairs = list(zip(captions, official.tokenize(captions), ours.stdout.split("\n")))
    different = [pair for pair in pairs if " ".join(pair[1]) != pair[2]]
    print(f"{len(pairs) - len(different)} of {len(pairs)} captions have the same tokens")
    for caption, expected, found in different[:20]:
        print(f"caption  {caption}\noriginal {' '.join(expected)}\nours     {found}")


if __name__ == "__main__":
    main()

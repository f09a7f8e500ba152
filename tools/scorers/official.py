"""The public COCO caption evaluation, called on plain lists."""
import contextlib
import io
import itertools

from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider import cider_scorer
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

# An abbreviation that ends a caption is cut according to the next caption in the file, so every
# caption is followed by one that begins as most do.
NEIGHBOUR = "A man"


def tokenize(captions):
    """Every caption as a list of tokens."""
    lines = itertools.chain.from_iterable((caption, NEIGHBOUR) for caption in captions)
    numbered = {place: [{"caption": line}] for place, line in enumerate(lines)}
    tokenized = PTBTokenizer().tokenize(numbered)
    return [tokenized[2 * place][0].split(" ") if tokenized[2 * place][0] else [] for place in range(len(captions))]


def plain_cider(references, candidates):
    """The package's CIDEr-D with an endless sigma and without clipping: the formula of the paper, times 10."""
    cider_scorer.min = lambda candidate, _: candidate
    try:
        return Cider(sigma=float("inf")).compute_score(references, candidates)
    finally:
        del cider_scorer.min


def score(samples):
    """Corpus and per-sample figures of [(candidate, references)]."""
    texts = [text for candidate, references in samples for text in (candidate, *references)]
    tokenized = iter([" ".join(tokens) for tokens in tokenize(texts)])
    candidates, references = {}, {}
    for place, (_, written) in enumerate(samples):
        candidates[place] = [next(tokenized)]
        references[place] = [next(tokenized) for _ in written]
    with contextlib.redirect_stdout(io.StringIO()):
        bleu, bleus = Bleu(4).compute_score(references, candidates)
    rouge, rouges = Rouge().compute_score(references, candidates)
    cider_d, cider_ds = Cider().compute_score(references, candidates)
    cider, ciders = plain_cider(references, candidates)
    return {
        "corpus": {"bleu": bleu, "rouge_l": float(rouge), "cider": float(cider), "cider_d": float(cider_d)},
        "samples": [
            {
                "bleu": [scores[place] for scores in bleus],
                "rouge_l": float(rouges[place]),
                "cider": float(ciders[place]),
                "cider_d": float(cider_ds[place]),
            }
            for place in range(len(samples))
        ],
    }

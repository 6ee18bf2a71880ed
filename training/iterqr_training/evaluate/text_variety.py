"""How varied a system's rewrites are: a collapsed generator says the same whatever it is asked."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from iterqr_proto.rewrite_format import comparison_form
from sacrebleu.metrics.bleu import BLEU
from scipy.stats import hypergeom

from iterqr_training.evaluate.rewriter import Answer

SELF_BLEU_TEXTS = 200
DISTINCT_GRAMS = 500
_BLEU_ORDER = 2  # rewrites have two to five words


@dataclass(frozen=True, slots=True)
class TextVariety:
    """Over all rewrites of a system; NaN where there are none.

    Args:
        texts: Number of rewrites.
        unique_share: Distinct texts among them.
        top_share: Share of the answers with rewrites that hold the most common rewrite.
        distinct_1: Distinct words for each word (Li et al., NAACL 2016), see `distinct`.
        distinct_2: The same of pairs of neighbouring words.
        self_bleu: Mean BLEU of a first rewrite against the other answers' first rewrites, 0 (nothing shared) to 1
            (Zhu et al., SIGIR 2018), with pairs of words at most; of `SELF_BLEU_TEXTS` drawn by seed if there are more.
    """

    texts: int
    unique_share: float
    top_share: float
    distinct_1: float
    distinct_2: float
    self_bleu: float


def text_variety(answers: Sequence[Answer], *, seed: int) -> TextVariety:
    """Returns the measures of all answers."""
    answered = [[comparison_form(each.text) for each in answer.rewrites] for answer in answers if answer.rewrites]
    texts = [text for mine in answered for text in mine]
    common = Counter(text for mine in answered for text in set(mine)).most_common(1)
    return TextVariety(
        texts=len(texts),
        unique_share=len(set(texts)) / len(texts) if texts else math.nan,
        top_share=common[0][1] / len(answered) if common else math.nan,
        distinct_1=distinct(texts, 1),
        distinct_2=distinct(texts, 2),
        self_bleu=self_bleu([mine[0] for mine in answered], seed=seed),
    )


def distinct(texts: Sequence[str], order: int) -> float:
    """Returns distinct n-grams for each n-gram among `DISTINCT_GRAMS` drawn of all, as expected; NaN if there is none.

    Of all it would fall with their number, and a system that writes more would look less varied (Liu et al., ACL 2022);
    drawing as many of each is rarefaction (Hurlbert, Ecology 1971). Fewer than that are all taken.
    """
    grams = [
        tuple(words[start : start + order])
        for words in (text.split() for text in texts)
        for start in range(len(words) - order + 1)
    ]
    drawn = min(len(grams), DISTINCT_GRAMS)
    times = np.fromiter(Counter(grams).values(), dtype=np.int64)
    missed = hypergeom.pmf(0, len(grams), times, drawn)
    return float(np.sum(1 - missed)) / drawn if drawn else math.nan


def self_bleu(texts: Sequence[str], *, seed: int) -> float:
    """Returns the mean BLEU, 0 to 1, of each text against all others; NaN for fewer than two."""
    if len(texts) < 2:
        return math.nan
    if len(texts) > SELF_BLEU_TEXTS:
        drawn = np.random.default_rng(seed).choice(len(texts), SELF_BLEU_TEXTS, replace=False)
        texts = [texts[place] for place in sorted(drawn)]
    bleu = BLEU(max_ngram_order=_BLEU_ORDER, effective_order=True, tokenize="none")
    scores = [
        bleu.sentence_score(text, [*texts[:place], *texts[place + 1 :]]).score / 100 for place, text in enumerate(texts)
    ]
    return float(np.mean(scores))

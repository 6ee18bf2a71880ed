"""Spelling errors that many people make in the same word."""

from __future__ import annotations

import random
import re

_DOUBLED = re.compile(r"([a-z])\1")
# Two spellings of one sound; the first is right in the words they apply to.
_SOUNDS = (("ph", "f"), ("ck", "k"), ("qu", "k"), ("ie", "ei"), ("tz", "ts"), ("c", "k"), ("ee", "ea"), ("i", "e"))
_MIN_WORD_CHARS = 4


def common_misspelling(rng: random.Random, text: str) -> str:
    """Returns the text with one word misspelt as people do, or unchanged if no word is long enough.

    A word has few misspellings, so that the same one comes back from different people.
    """
    words = text.split()
    long_words = [i for i, word in enumerate(words) if len(word) >= _MIN_WORD_CHARS and word.isalpha()]
    if not long_words:
        return text
    i = rng.choice(long_words)
    words[i] = rng.choice(_misspellings(words[i]))
    return " ".join(words)


def _misspellings(word: str) -> list[str]:
    found = [word.replace(right, wrong, 1) for right, wrong in _SOUNDS if right in word[1:]]
    if match := _DOUBLED.search(word):
        found.insert(0, word[: match.start()] + word[match.start() + 1 :])
    found.append(word[:-2] + word[-1] + word[-2])
    return [wrong for wrong in dict.fromkeys(found) if wrong != word][:2] or [word]

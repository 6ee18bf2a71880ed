"""Spelling mistakes by where they come from: fingers, ears, haste."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Literal

Mistake = Literal["keyboard", "sound", "letters"]
MISTAKES: tuple[Mistake, ...] = ("keyboard", "sound", "letters")
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_MIN_WORD_CHARS = 4
# Spellings that sound alike, both ways; the longest first, so that "tion" is not read as "t" and "ion".
_SOUNDS = (
    ("ough", "uff"), ("eigh", "ay"), ("tion", "shun"), ("chi", "tchi"), ("ph", "f"), ("ck", "k"), ("qu", "kw"),
    ("gn", "ny"), ("gh", "g"), ("ch", "tch"), ("sh", "sch"), ("ee", "ea"), ("oo", "u"), ("ou", "oo"), ("ai", "ay"),
    ("ei", "ay"), ("ie", "y"), ("au", "aw"), ("oa", "o"), ("ll", "l"), ("rr", "r"), ("tt", "t"), ("zz", "z"),
    ("ss", "s"), ("nn", "n"), ("mm", "m"), ("cc", "k"), ("c", "k"), ("k", "c"), ("z", "s"), ("s", "z"), ("y", "i"),
    ("i", "e"), ("e", "a"), ("x", "ks"), ("w", "v"), ("j", "dg"),
)  # fmt: skip
_VOWEL_END = re.compile(r"[aeiou]$")


def misspell(rng: random.Random, text: str, mistake: Mistake) -> str:
    """Returns the text with one mistake in one of its longer words, or unchanged if no word is long enough."""
    words = text.split()
    long_words = [i for i, word in enumerate(words) if len(word) >= _MIN_WORD_CHARS and word.isascii()]
    if not long_words:
        return text
    i = rng.choice(long_words)
    words[i] = _MISTAKEN[mistake](rng, words[i])
    return " ".join(words)


def neighbours(letter: str) -> str:
    """Returns the letters around one on a QWERTY keyboard."""
    found = ""
    for number, row in enumerate(_ROWS):
        if letter in row:
            column = row.index(letter)
            found += row[max(0, column - 1) : column] + row[column + 1 : column + 2]
            if number:  # each row is shifted half a key to the right of the one above it
                found += _ROWS[number - 1][column : column + 2]
            if number + 1 < len(_ROWS):
                found += _ROWS[number + 1][max(0, column - 1) : column + 1]
    return found


def _by_keyboard(rng: random.Random, word: str) -> str:
    """A neighbouring key instead of the right one, or hit beside it. The first letter is looked at, and right."""
    i = rng.randrange(1, len(word))
    near = neighbours(word[i])
    if not near:
        return word
    wrong = rng.choice(near)
    return word[:i] + wrong + word[i + 1 :] if rng.random() < 0.7 else word[:i] + wrong + word[i:]


def _by_sound(rng: random.Random, word: str) -> str:
    found = [word.replace(right, wrong, 1) for right, wrong in _SOUNDS if right in word]
    if _VOWEL_END.search(word):
        found.append(word + "h")
    return rng.choice(found) if found else word


def _by_letters(rng: random.Random, word: str) -> str:
    """A letter dropped, doubled, or swapped with the next."""
    i = rng.randrange(1, len(word) - 1)
    return rng.choice(
        (word[:i] + word[i + 1 :], word[:i] + word[i] + word[i:], word[:i] + word[i + 1] + word[i] + word[i + 2 :])
    )


_MISTAKEN: dict[Mistake, Callable[[random.Random, str], str]] = {
    "keyboard": _by_keyboard,
    "sound": _by_sound,
    "letters": _by_letters,
}

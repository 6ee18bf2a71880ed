"""Which channels retrieved a document: the heart of the catalog. Partly by hand, partly every combination there is."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from support.attribution.case import Case, Document, Weights, make

WORDS = ("pad", "thai", "rice", "lime", "mint", "corn", "bean", "leek", "plum")
"""The query of the cases made by construction, and what its rewrites say."""

REWRITES_FIRST = Weights(original=1.0, rewrite=3.0, rank_constant=10)


def subset_cases() -> Iterator[Case]:
    """A document in every combination of the original and three rewrites, and one document of each channel alone.

    The document has each word of its channels twice, the others once: it leads wherever it is.
    """
    for members in product((False, True), repeat=4):
        if not any(members):
            continue
        words = " ".join(f"{word}*2" for word, member in zip(WORDS, members, strict=False) if member)
        alone = {f"only{number}": word for number, word in enumerate(WORDS[:4])}
        where = " and ".join(name for name, member in zip(("original", "1", "2", "3"), members, strict=True) if member)
        yield make(
            "membership",
            f"in {where}",
            {"x": words, **alone},
            WORDS[0],
            WORDS[1:4],
            [f"{'x ' if member else ''}only{number}" for number, member in enumerate(members)],
        )


def nth_rewrite_cases() -> Iterator[Case]:
    """A document that only the n-th of m rewrites retrieves."""
    for m in (1, 2, 3, 5, 8):
        for n in range(1, m + 1):
            yield make(
                "only in rewrite n of m",
                f"{n} of {m}",
                {"o": "pad", "x": f"{WORDS[n]}"},
                "pad",
                WORDS[1 : m + 1],
                ["o", *("x" if number == n else "" for number in range(1, m + 1))],
            )


def window_edge_cases() -> Iterator[Case]:
    """A document at the edges of both windows: inside by one, outside by one, or not there at all.

    Both lists are full of other documents. The weights show one window or the other on the page.
    """
    for size, weights in product((1, 3, 10), (Weights(), REWRITES_FIRST)):
        places = [*sorted({1, size, size + 1}), 0]
        for in_original, in_rewrite in product(places, places):
            if in_original == in_rewrite == 0:
                continue
            documents = _ranked_documents(size + 1, in_original, in_rewrite)
            windows = [_by_count(documents, word)[:size] for word in ("pad", "thai")]
            shown = "rewrite" if weights is REWRITES_FIRST else "original"
            yield make(
                "window edge",
                f"window {size}, {shown} first: original {in_original or 'never'}, rewrite {in_rewrite or 'never'}",
                documents,
                "pad",
                ("thai",),
                [" ".join(window) for window in windows],
                window_size=size,
                weights=weights,
                pages=((0, size),),
            )


def largest_window_cases() -> Iterator[Case]:
    """The largest window there is, with a document just inside and one just outside."""
    size = 1_000
    for weights in (Weights(), REWRITES_FIRST):
        documents: dict[str, str | Document] = {f"o{rank}": f"pad*{size + 2 - rank}" for rank in range(1, size)}
        documents |= {f"r{rank}": f"thai*{size + 2 - rank}" for rank in range(1, size)}
        documents["inside"] = "pad*2 thai*2"
        documents["outside"] = "pad thai"
        originals = [*(f"o{rank}" for rank in range(1, size)), "inside"]
        rewritten = [*(f"r{rank}" for rank in range(1, size)), "inside"]
        yield make(
            "window edge",
            f"window {size}, {'rewrite' if weights is REWRITES_FIRST else 'original'} first",
            documents,
            "pad",
            ("thai",),
            [" ".join(originals), " ".join(rewritten)],
            window_size=size,
            weights=weights,
            pages=((0, size),),
        )


def weight_cases() -> Iterator[Case]:
    """Weights order the page; they make no document a channel's."""
    for original, rewrite, constant in (
        (1, 0, 60),
        (0, 1, 60),
        (0, 0, 60),
        (1, 1, 1),
        (0.2, 3, 10),
        (1000, 1000, 10000),
    ):
        yield make(
            "weights",
            f"original {original}, rewrite {rewrite}, constant {constant}",
            {"a": "pad*4", "b": "pad*3 thai*2", "c": "pad*2 thai*3", "d": "thai*4 rice*2", "e": "rice*3"},
            "pad",
            ("thai", "rice"),
            ["a b c", "d c b", "e d"],
            weights=Weights(original, rewrite, constant),
        )


BY_HAND = (
    make("membership", "nothing but the original", {"a": "pad", "z": "soup"}, "pad", ("rice",), ["a", ""]),
    make("membership", "nothing but the rewrite", {"a": "thai", "z": "soup"}, "pad", ("thai",), ["", "a"]),
    make(
        "membership",
        "first in the original, last in the rewrite",
        {"a": "pad*3 thai", "b": "pad*2 thai*2", "c": "pad thai*3"},
        "pad",
        ("thai",),
        ["a b c", "c b a"],
    ),
    make(
        "membership",
        "a rewrite of two words retrieves documents with either",
        {"a": "thai", "b": "curry*2", "c": "thai curry*3", "d": "pad"},
        "pad",
        ("thai curry",),
        ["d", "c b a"],
    ),
    make(
        "membership",
        "rewrites that share a word",
        {"a": "thai curry", "b": "thai*3", "c": "curry*4", "d": "soup*5", "e": "pad"},
        "pad",
        ("thai curry", "thai soup"),
        ["e", "c b a", "d b a"],
    ),
    make(
        "membership",
        "a document of other words is no channel's",
        {"a": "pad", "b": "padthai", "c": "pads", "d": "thai", "e": "thais"},
        "pad",
        ("thai",),
        ["a", "d"],
    ),
    make(
        "membership",
        "eight rewrites that all retrieve the same document",
        {"x": "pad thai rice lime mint corn bean leek plum"},
        "pad",
        WORDS[1:9],
        ["x"] * 9,
    ),
    make(
        "membership",
        "a page shorter than the list",
        {"a": "pad*3", "b": "pad*2", "c": "thai*3 pad", "d": "thai*2", "e": "thai"},
        "pad",
        ("thai",),
        ["a b c", "c d e"],
        pages=((0, 3),),
    ),
    make(
        "max_rewrites",
        "two of two that may come",
        {"a": "pad", "b": "thai", "c": "rice"},
        "pad",
        ("thai", "rice"),
        ["a", "b", "c"],
        max_rewrites=2,
    ),
    make(
        "max_rewrites",
        "one of one that may come",
        {"a": "pad", "b": "thai", "c": "rice"},
        "pad",
        ("thai",),
        ["a", "b"],
        max_rewrites=1,
    ),
    make(
        "max_rewrites",
        "one more than may come is a bad reply",
        {"a": "pad", "b": "thai", "c": "rice"},
        "pad",
        ("thai", "rice"),
        ["a", "", ""],
        max_rewrites=1,
        outcome="bad_reply",
        page="a",
    ),
)


def _ranked_documents(length: int, in_original: int, in_rewrite: int) -> dict[str, str | Document]:
    """Lists of `length` documents for "pad" and "thai"; `x` has the ranks given, others fill the rest."""
    counts: dict[str, dict[str, int]] = {"x": {}}
    for word, place, filler in (("pad", in_original, "o"), ("thai", in_rewrite, "r")):
        for rank in range(1, length + 1):
            counts.setdefault("x" if rank == place else f"{filler}{rank}", {})[word] = length + 1 - rank
    return {
        name: " ".join(f"{word}*{times}" for word, times in words.items()) for name, words in counts.items() if words
    }


def _by_count(documents: dict[str, str | Document], word: str) -> list[str]:
    """Names of the documents with the word, those with most of it first."""
    times = {name: Document(str(words)).counts.get(word, 0) for name, words in documents.items()}
    return sorted((name for name in times if times[name]), key=lambda name: -times[name])


def membership_cases() -> list[Case]:
    """All of this file."""
    return [
        *BY_HAND,
        *subset_cases(),
        *nth_rewrite_cases(),
        *window_edge_cases(),
        *largest_window_cases(),
        *weight_cases(),
    ]

"""What rewrites say: repetitions, the query itself, words that retrieve nothing, other scripts, other query shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from support.attribution.case import Case, Document, Shape, make

DISHES: Mapping[str, str] = {"a": "pad*3", "b": "pad*2 thai*2", "c": "thai*3", "d": "soup"}


def on(field: str, **options: str) -> Shape:
    """A match query on another field than the title."""
    return lambda text: {"match": {field: {"query": text, **options}}}


def by_count_of(*words: str) -> Callable[[str, Document], float]:
    """Scores whatever the text says by these words: for fields whose analysis makes other words of it."""
    return lambda _text, document: float(sum(document.counts.get(word, 0) for word in words))


DUPLICATES = (
    make("duplicate rewrites", "the same text twice", DISHES, "pad", ("thai", "thai"), ["a b", "c b", None]),
    make("duplicate rewrites", "three times", DISHES, "pad", ("thai", "thai", "thai"), ["a b", "c b", None, None]),
    make(
        "duplicate rewrites",
        "twice with another between",
        DISHES,
        "pad",
        ("thai", "soup", "thai"),
        ["a b", "c b", "d", None],
    ),
    make("duplicate rewrites", "in another case", DISHES, "pad", ("thai", "THAI"), ["a b", "c b", None]),
    make(
        "duplicate rewrites",
        "first in another case",
        {"a": "pad", "b": "thai"},
        "pad",
        ("Thai", "thai"),
        ["a", "b", None],
        scoring=None,
    ),
    make("duplicate rewrites", "with spaces around", DISHES, "pad", ("thai", "  thai "), ["a b", "c b", None]),
    make(
        "duplicate rewrites",
        "the same words in another order are two rewrites",
        DISHES,
        "pad",
        ("thai soup", "soup thai"),
        ["a b", "c b d", "c b d"],
    ),
    make(
        "duplicate rewrites",
        "the same words with two spaces are two rewrites",
        DISHES,
        "pad",
        ("thai soup", "thai  soup"),
        ["a b", "c b d", "c b d"],
    ),
    make(
        "duplicate rewrites",
        "a word twice is another rewrite, and counts twice",
        DISHES,
        "pad",
        ("thai soup", "thai thai soup"),
        ["a b", "c b d", "c b d"],
        scoring=lambda text, document: sum(float(document.counts.get(word, 0)) for word in text.split()),
    ),
    make(
        "duplicate rewrites",
        "the same after analysis: punctuation",
        DISHES,
        "pad",
        ("thai soup", "thai-soup!"),
        ["a b", "c b d", "c b d"],
        scoring=None,
    ),
    make(
        "duplicate rewrites",
        "the same after analysis: singular and plural",
        {"a": "pad", "b": "noodle*2", "c": "noodles"},
        "pad",
        ("noodle", "noodles"),
        ["a", "b c", "b c"],
        shape=on("title.stemmed"),
        scoring=by_count_of("pad", "noodle", "noodles"),
    ),
    make(
        "duplicate rewrites",
        "the same after analysis: accents",
        {"a": "pad", "b": "creme*2", "c": "crème"},
        "pad",
        ("creme", "crème"),
        ["a", "b c", "b c"],
        shape=on("title.folded"),
        scoring=by_count_of("pad", "creme", "crème"),
    ),
    make(
        "duplicate rewrites",
        "not the same where the field keeps accents",
        {"a": "pad", "b": "creme*2", "c": "crème"},
        "pad",
        ("creme", "crème"),
        ["a", "b", "c"],
    ),
    make(
        "duplicate rewrites",
        "the same after analysis: stop words",
        DISHES,
        "pad",
        ("thai", "the thai"),
        ["a b", "c b", "c b"],
        shape=on("title.stopped"),
    ),
)

SAME_AS_QUERY = (
    make(
        "same as the query",
        "and nothing else",
        DISHES,
        "pad",
        ("pad",),
        ["a b", None],
        outcome="no_rewrites",
        page="a b",
    ),
    make("same as the query", "in capitals", DISHES, "pad", ("PAD",), ["a b", None], outcome="no_rewrites", page="a b"),
    make(
        "same as the query", "with spaces", DISHES, "pad", (" pad  ",), ["a b", None], outcome="no_rewrites", page="a b"
    ),
    make("same as the query", "and another", DISHES, "pad", ("pad", "thai"), ["a b", None, "c b"]),
    make("same as the query", "after another", DISHES, "pad", ("thai", "Pad"), ["a b", "c b", None]),
    make("same as the query", "more than once", DISHES, "pad", ("pad", "PAD", "thai"), ["a b", None, None, "c b"]),
    make(
        "same as the query",
        "only after analysis",
        DISHES,
        "pad",
        ("pad!", "thai"),
        ["a b", "a b", "c b"],
        scoring=lambda text, document: float(document.counts.get(text.strip("!"), 0)),
    ),
    make(
        "same as the query",
        "the query in capitals itself",
        DISHES,
        "PAD",
        ("pad", "thai"),
        ["a b", None, "c b"],
        scoring=lambda text, document: float(document.counts.get(text.lower(), 0)),
    ),
    make(
        "same as the query",
        "its plural is another text",
        {"a": "noodle*2", "b": "noodles"},
        "noodle",
        ("noodles",),
        ["a b", "a b"],
        shape=on("title.stemmed"),
        scoring=by_count_of("noodle", "noodles"),
    ),
    make("same as the query", "with a word more", DISHES, "pad", ("pad thai",), ["a b", "b a c"]),
)

NOTHING = (
    make("retrieves nothing", "the only rewrite", DISHES, "pad", ("beet",), ["a b", ""]),
    make("retrieves nothing", "one of two", DISHES, "pad", ("beet", "thai"), ["a b", "", "c b"]),
    make("retrieves nothing", "all of three", DISHES, "pad", ("beet", "kale", "rye"), ["a b", "", "", ""]),
    make("retrieves nothing", "the original, but not its rewrite", DISHES, "pda", ("pad",), ["", "a b"]),
    make("retrieves nothing", "neither original nor rewrite", DISHES, "pda", ("beet",), ["", ""]),
    make("retrieves nothing", "the original and one of two", DISHES, "pda", ("beet", "thai"), ["", "", "c b"]),
    make(
        "retrieves nothing",
        "a rewrite of stop words",
        DISHES,
        "pad",
        ("the", "thai"),
        ["a b", "", "c b"],
        shape=on("title.stopped"),
    ),
    make(
        "retrieves nothing",
        "a rewrite of punctuation",
        DISHES,
        "pad",
        ("?!", "thai"),
        ["a b", "", "c b"],
    ),
    make(
        "retrieves nothing",
        "a rewrite of which one word is nowhere, where all are required",
        DISHES,
        "pad",
        ("thai beet", "thai pad"),
        ["a b", "", "b"],
        shape=on("title", operator="and"),
    ),
    make(
        "retrieves nothing",
        "fewer words than minimum_should_match",
        {"a": "pad curry", "b": "thai soup", "c": "thai*4"},
        "pad curry",
        ("thai soup",),
        ["a", "b"],
        shape=on("title", minimum_should_match="2"),
    ),
    make("retrieves nothing", "no rewrites at all", DISHES, "pad", (), ["a b"], outcome="no_rewrites", page="a b"),
    make("retrieves nothing", "an index without documents", {}, "pad", ("thai",), ["", ""]),
)


def _unicode(name: str, query: str, rewrite: str, **rest: Any) -> Case:  # noqa: ANN401 - fields of Case
    documents = {"a": f"{query}*2", "b": f"{query} {rewrite}", "c": f"{rewrite}*2", "d": "plain"}
    return make("unicode", name, documents, query, (rewrite,), ["a b", "c b"], **rest)


def _characters(text: str, document: Document) -> float:
    """Each ideograph is a word to the standard tokenizer."""
    return float(sum(document.title.count(character) for character in text))


UNICODE = (
    _unicode("Cyrillic", "борщ", "суп"),
    _unicode("Greek", "σούπα", "πίτα"),
    _unicode("Arabic", "حساء", "خبز"),
    _unicode("Hebrew", "מרק", "לחם"),
    _unicode("Hindi", "दाल", "रोटी"),
    _unicode("Korean", "김치", "국수"),
    _unicode("Chinese, a character a word", "面", "饭", scoring=_characters),
    _unicode("Japanese, a character a word", "鮨", "茶", scoring=_characters),
    _unicode("letters beyond the basic plane", "𠮷", "𩸽", scoring=_characters),
    _unicode("accents", "crème", "brûlée"),
    _unicode("German", "klöße", "soße"),
    make(
        "unicode",
        "Chinese rewrites share characters",
        {"a": "牛肉面", "b": "牛肉饭", "c": "鸡饭", "d": "汤"},
        "汤",
        ("牛饭", "鸡面"),
        ["d", "b a c", "a c"],
        scoring=_characters,
    ),
    make(
        "unicode",
        "composed and decomposed accents are two texts",
        {"a": "pad", "b": "cr\u00e8me", "c": "cre\u0300me"},
        "pad",
        ("cr\u00e8me", "cre\u0300me"),
        ["a", "b", "c"],
    ),
    make(
        "unicode",
        "an emoji is a word",
        {"a": "pad", "b": "🍜*2", "c": "🍜 pad"},
        "pad",
        ("🍜",),
        ["a c", "b c"],
    ),
    make(
        "unicode",
        "a right-to-left mark at its end makes another word",
        {"a": "pad", "b": "thai*2", "c": "thai\u200f"},
        "pad",
        ("thai\u200f",),
        ["a", "c"],
    ),
    make(
        "unicode",
        "fullwidth letters are other letters",
        {"a": "pad", "b": "ｔｈａｉ*2", "c": "thai"},
        "pad",
        ("ｔｈａｉ", "thai"),
        ["a", "b", "c"],
    ),
    make(
        "unicode",
        "capital letters of other scripts repeat the rewrite",
        {"a": "pad", "b": "борщ"},
        "pad",
        ("борщ", "БОРЩ"),
        ["a", "b", None],
    ),
    make(
        "unicode",
        "a rewrite of 120 letters beyond the basic plane",
        {"a": "pad", "b": "𐐨" * 120},
        "pad",
        ("𐐨" * 120,),
        ["a", "b"],
    ),
)

SHAPES: Mapping[str, Shape] = {
    "multi_match": lambda text: {"multi_match": {"query": text, "fields": ["title"]}},
    "query_string": lambda text: {"query_string": {"query": text, "default_field": "title"}},
    "simple_query_string": lambda text: {"simple_query_string": {"query": text, "fields": ["title"]}},
    "bool must": lambda text: {"bool": {"must": [{"match": {"title": text}}]}},
    "bool should": lambda text: {"bool": {"should": [{"match": {"title": text}}, {"match": {"subtitle": text}}]}},
    "dis_max": lambda text: {"dis_max": {"queries": [{"match": {"title": text}}, {"match": {"subtitle": text}}]}},
    "bool in bool": lambda text: {"bool": {"must": [{"bool": {"should": [{"match": {"title": text}}]}}]}},
    "function_score": lambda text: {
        "function_score": {"query": {"match": {"title": text}}, "weight": 1, "boost_mode": "multiply"}
    },
    "script_score": lambda text: {
        "script_score": {"query": {"match": {"title": text}}, "script": {"source": "_score"}}
    },
    "boosting": lambda text: {
        "boosting": {
            "positive": {"match": {"title": text}},
            "negative": {"match": {"subtitle": "none"}},
            "negative_boost": 0.5,
        }
    },
    "nested": lambda text: {"nested": {"path": "parts", "query": {"match": {"parts.title": text}}}},
}

PHRASES: Mapping[str, Shape] = {
    "match_phrase": lambda text: {"match_phrase": {"title": text}},
    "match_phrase_prefix": lambda text: {"match_phrase_prefix": {"title": text}},
    "query_string as phrase": lambda text: {
        "query_string": {"query": text, "default_field": "title", "type": "phrase"}
    },
}


def shape_cases() -> list[Case]:
    """The same documents and rewrites, asked for in every shape whose text is found."""
    documents = {
        name: Document(words, fields={"parts": [{"title": Document(words).title}]}) for name, words in DISHES.items()
    }
    words = [
        make("query shapes", name, documents, "pad", ("thai", "soup"), ["a b", "c b", "d"], shape=shape)
        for name, shape in SHAPES.items()
    ]
    order = {"a": "pad thai", "b": "thai pad", "c": "thai curry", "d": "curry thai"}
    phrases = [
        make(
            "query shapes",
            name,
            order,
            "pad thai",
            ("thai curry", "curry pad"),
            ["a", "c", ""],
            shape=shape,
            scoring=None,
        )
        for name, shape in PHRASES.items()
    ]
    return [*words, *phrases, *_GIVEN_TEXT]


_GIVEN_TEXT = (
    make(
        "query shapes",
        "two texts, of which the request names one",
        {"a": "pad new", "b": "thai new", "c": "new*2", "d": "thai"},
        "pad",
        ("thai",),
        ["a c b", "b c a d"],
        shape=lambda text: {"bool": {"should": [{"match": {"title": text}}, {"match": {"title": "new"}}]}},
        ext={"query": "pad"},
        scoring=lambda text, document: float(document.counts.get(text, 0) + document.counts.get("new", 0)),
    ),
    make(
        "query shapes",
        "a text that the application had cleaned",
        DISHES,
        "pad",
        ("thai",),
        ["a b", "c b"],
        ext={"query": "PAD please"},
    ),
)


def wording_cases() -> list[Case]:
    """All of this file."""
    return [*DUPLICATES, *SAME_AS_QUERY, *NOTHING, *UNICODE, *shape_cases()]

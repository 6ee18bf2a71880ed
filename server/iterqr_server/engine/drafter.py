"""Guesses at outputs from what they are likely to repeat, and learns how far each kind of guess can be trusted.

Sources, in the order in which they are asked: the output itself so far; the request's own words (end of the prompt and
the texts that its caller expects, `GenerationRequest.drafts`); the latest outputs of other requests, those of near
queries among them; the prompt's shared beginning, whose examples show the format. All are n-gram look-ups (prompt
lookup decoding; suffix decoding, arXiv 2411.04975): after the longest run of tokens that occurred before, what came
next then. A guess never changes an output, only how many steps it takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from iterqr_server.engine.draft_tree import DraftTree, Guess
from iterqr_server.engine.ngram_index import MAX_MATCH, NgramIndex

SOURCES = ("output", "request", "history", "prefix")
_HISTORY_TEXTS = 256
_PROMPT_TAIL = 256  # tokens at the prompt's end that count as the request's own words
_BINS = 20
_FORGET_ABOVE = 500.0  # observations of one kind; then older ones count less
_MAX_CANDIDATES = 6
_REST = 0.02
_OFTEN = 3
_MANY = 8
_LEADS = (0.5, 0.75)


@dataclass(slots=True)
class _Rate:
    """A share of successes, older ones fading."""

    hits: float
    tries: float

    def note(self, hit: bool) -> None:
        self.hits += hit
        self.tries += 1
        if self.tries > _FORGET_ABOVE:
            self.hits /= 2
            self.tries /= 2

    @property
    def share(self) -> float:
        return self.hits / self.tries


@dataclass(slots=True)
class DraftCounters:
    """Rows proposed and accepted, by source."""

    proposed: Counter[str] = field(default_factory=Counter)
    accepted: Counter[str] = field(default_factory=Counter)


class Drafter:
    """What one engine has learned; opens a session for each request."""

    def __init__(self) -> None:
        self.counters = DraftCounters()
        self._history = NgramIndex(max_texts=_HISTORY_TEXTS)
        # How often a source that has seen the last n tokens also knows the next one; the third key: `_kind`.
        self._trust: dict[tuple[int, int, int], _Rate] = {}
        # How often a guess comes true, by the probability that the look-ups give it.
        self._calibration = [_Rate(4 * (i + 0.5) / _BINS, 4) for i in range(_BINS)]

    def open(self, prompt: Sequence[int], drafts: Sequence[Sequence[int]], prefix: NgramIndex) -> DraftSession:
        """Returns a session for a request.

        `drafts` are the tokens of `GenerationRequest.drafts`; the first is expected right at the output's beginning.
        """
        words = NgramIndex()
        tail = list(prompt[-_PROMPT_TAIL:])
        words.add(tail)
        for number, draft in enumerate(drafts):
            if number:
                words.add(draft)
            else:
                context = tail[-MAX_MATCH:]
                words.add([*context, *draft], first=len(context))
        return DraftSession(self, (NgramIndex(), words, self._history, prefix), tail[-MAX_MATCH:])

    def remember(self, context: Sequence[int], output: Sequence[int]) -> None:
        """A request ended with `output` after `context`, the end of its prompt."""
        start = list(context[-MAX_MATCH:])
        self._history.add([*start, *output], first=len(start))

    def predict(self, sources: tuple[NgramIndex, ...], context: tuple[int, ...]) -> list[Guess]:
        """Returns guesses at the token after `context`.

        The longest match is trusted as far as its kind has been right before; what is left goes to shorter ones.
        """
        shares: dict[int, float] = {}
        first: dict[int, int] = {}
        left = 1.0
        for length, number, counts in _matches(sources, context):
            total = sum(counts.values())
            trust = left * self._rate(number, length, counts).share
            for token, count in sorted(counts.items(), key=_by_count)[:_MAX_CANDIDATES]:
                shares[token] = shares.get(token, 0.0) + trust * count / total
                first.setdefault(token, number)
            left -= trust
            if left < _REST:
                break
        guesses = []
        for token, share in shares.items():
            number = min(_BINS - 1, int(share * _BINS))
            guesses.append(Guess(token, self._calibration[number].share, first[token], number))
        return guesses

    def learn_token(self, sources: tuple[NgramIndex, ...], context: tuple[int, ...], token: int) -> None:
        """`token` came after `context`: were the matches right that would have been asked?"""
        for length, number, counts in _matches(sources, context):
            hit = token in counts
            self._rate(number, length, counts).note(hit)
            if hit:
                return

    def learn_tree(self, tree: DraftTree, accepted: Sequence[int]) -> None:
        """The rows `accepted` of `tree`, a path from its root, came true; so their siblings did not."""
        taken = set(accepted)
        for row, guess in enumerate(tree.guesses):
            self.counters.proposed[SOURCES[guess.source]] += 1
            if row in taken:
                self.counters.accepted[SOURCES[guess.source]] += 1
            if tree.parents[row] == -1 or tree.parents[row] in taken:
                self._calibration[guess.bin].note(row in taken)

    def _rate(self, source: int, length: int, counts: Mapping[int, int]) -> _Rate:
        key = (source, length, _kind(counts))
        rate = self._trust.get(key)
        if rate is None:
            rate = self._trust[key] = _Rate(1.0, 2.0)
        return rate


def _matches(sources: Sequence[NgramIndex], context: tuple[int, ...]) -> Iterator[tuple[int, int, Mapping[int, int]]]:
    """What followed the end of `context`: (tokens matched, source, counts), the longest match first."""
    for length in range(len(context), 0, -1):
        key = context[-length:]
        for number, source in enumerate(sources):
            counts = source.after(key)
            if counts:
                yield length, number, counts


def _kind(counts: Mapping[int, int]) -> int:
    """Counts of a kind can be trusted alike: those of one continuation by how often, others by how far one leads."""
    total = sum(counts.values())
    if len(counts) == 1:
        return min(total - 1, _OFTEN - 1)
    leads = sum(max(counts.values()) >= share * total for share in _LEADS)
    return _OFTEN + leads + (len(_LEADS) + 1) * (total >= _MANY)


def _by_count(item: tuple[int, int]) -> int:
    return -item[1]


class DraftSession:
    """A `Predictor` for one request."""

    def __init__(self, drafter: Drafter, sources: tuple[NgramIndex, ...], context: list[int]) -> None:
        self._drafter = drafter
        self._sources = sources
        self._context = context  # the last tokens known, at most MAX_MATCH

    def guess(self, path: tuple[int, ...]) -> list[Guess]:
        """See `Predictor`."""
        return self._drafter.predict(self._sources, (*self._context, *path)[-MAX_MATCH:])

    def advance(self, token_ids: Sequence[int], tree: DraftTree, accepted: Sequence[int]) -> None:
        """A step gave `token_ids`; of its `tree`, the rows `accepted` came true."""
        self._drafter.learn_tree(tree, accepted)
        for token in token_ids:
            self._drafter.learn_token(self._sources, tuple(self._context), token)
            self._sources[0].add_last([*self._context, token])
            self._context = [*self._context, token][-MAX_MATCH:]

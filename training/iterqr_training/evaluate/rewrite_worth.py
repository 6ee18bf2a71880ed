"""Which rewrites are good: as the truth set says, else by what they retrieve."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from iterqr_proto.rewrite_format import comparison_form

from iterqr_training.evaluate.truth import TruthQuery
from iterqr_training.evaluate.windows import Window

TOP = 10
GOOD_SHARE = 0.5

Worth = Mapping[tuple[str, str, str], bool]
"""By region, query as typed and `comparison_form` of the rewrite; rewrites of unknown worth are not in it."""


def rewrite_worth(
    truth: Iterable[TruthQuery],
    rewrites: Mapping[tuple[str, str], Iterable[str]],
    windows: Mapping[tuple[str, str], Window],
) -> Worth:
    """Returns which rewrites are good.

    One that the truth set judges is as judged. Another is good if, searched for by itself, its first 10 hits hold at
    least half as many relevant objects as they could: 5, or half of all that are relevant if those are fewer than 10.
    So it keeps the user's need, whether or not the query does well without it. Pure.

    Args:
        truth: The queries.
        rewrites: Texts by region and query as typed.
        windows: By region and text; those of rewrites to be judged by results.
    """
    worth: dict[tuple[str, str, str], bool] = {}
    for query in truth:
        for text in rewrites.get((query.region, query.query), ()):
            form = comparison_form(text)
            window = windows.get((query.region, text))
            if form in query.judged:
                worth[query.region, query.query, form] = query.judged[form]
            elif query.relevant and window is not None:
                worth[query.region, query.query, form] = finds(query.relevant, window)
    return worth


def finds(relevant: frozenset[str], window: Window) -> bool:
    """Returns whether a window's first `TOP` hits hold `GOOD_SHARE` of the relevant objects that they could."""
    found = sum(hit.object_id in relevant for hit in window[:TOP])
    return found >= GOOD_SHARE * min(TOP, len(relevant))

"""What an index of planted documents retrieves when nothing goes wrong: words match, shorter documents come first."""

from __future__ import annotations

from collections.abc import Sequence

from iterqr_training.signals.attribution_check.cases import WINDOW_SIZE
from iterqr_training.signals.attribution_check.channels import ChannelWindow, Observed
from iterqr_training.signals.attribution_check.planting import Case, PlantedSearch


def window(word: str, cases: Sequence[Case]) -> tuple[str, ...]:
    """Ids of the documents with a word, best first."""
    documents = [each for case in cases for each in case.documents if word in each.text.split()]
    documents.sort(key=lambda each: len(each.text.split()))
    return tuple(each.object_id for each in documents[:WINDOW_SIZE])


def observe(search: PlantedSearch, cases: Sequence[Case]) -> Observed:
    """A search whose page shows what any channel retrieved, best ranks first."""
    windows = [ChannelWindow("", window(search.query, cases))]
    windows += [ChannelWindow(each.rewrite_id, window(each.text, cases)) for each in search.rewrites]
    ranked = sorted(
        {(rank, object_id) for each in windows for rank, object_id in enumerate(each.object_ids)},
        key=lambda hit: hit[0],
    )
    shown = dict.fromkeys(object_id for _, object_id in ranked)
    return Observed(search.query_id, tuple(windows), tuple(shown))

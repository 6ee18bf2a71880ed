"""Labels from how most people spell a query: its usual spelling is a rewrite of it. All of it pure."""

from __future__ import annotations

from datetime import datetime

from iterqr_proto.rewrite_format import clean_text

from iterqr_training.dataset.rows import LabelSource, Task
from iterqr_training.labels.candidates import Queries
from iterqr_training.labels.personal_data import personal_data
from iterqr_training.labels.records import EPOCH, MAX_QUERY_CHARS, Kind, Label, max_chars, query_key
from iterqr_training.labels.settings import LabelSettings
from iterqr_training.labels.spellings import Spellings

_DECIMALS = 6


def spelling_labels(queries: Queries, spellings: Spellings, settings: LabelSettings) -> tuple[Label, ...]:
    """Labels relevance and quality of usual spellings, all of them good; none unless `corrections` are wanted.

    What differs in punctuation alone is no rewrite. A label is as new as the newest search for either spelling.
    The weight is the share of those who spell it so among those who spell it either way.
    """
    if not settings.corrections:
        return ()
    clients: dict[str, int] = {}
    observed: dict[str, datetime] = {}
    for each in queries.values():
        clients[each.text] = max(clients.get(each.text, 0), each.clients)
        observed[each.text] = max(observed.get(each.text, EPOCH), each.observed_at)
    labels = []
    for each in sorted(queries.values(), key=lambda each: (each.text, each.region)):
        usable = each.clients >= settings.min_clients and personal_data(each.text) is None
        usual = spellings.usual(each.text) if usable and len(each.text) <= MAX_QUERY_CHARS else None
        if usual is None or query_key(usual) == query_key(each.text):
            continue
        if not 0 < len(clean_text(usual)) <= max_chars(Kind.REWRITE):
            continue
        labels += [
            Label(
                task,
                each.text,
                each.region,
                usual,
                Kind.REWRITE,
                positive=True,
                weight=round(spellings.share(each.text, usual), _DECIMALS),
                source=LabelSource.SPELLING,
                observed_at=max(each.observed_at, observed[usual]),
                band=each.band,
                clients=min(each.clients, clients[usual]),
            )
            for task in (Task.RELEVANCE, Task.QUALITY)
        ]
    return tuple(labels)

"""Labels and candidates made by hand, and a town whose users like and dislike known rewrites."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from iterqr_training.dataset.rows import Band, LabelSource, Task
from iterqr_training.labels.candidates import Candidate, Evidence, Query
from iterqr_training.labels.chains import Chain
from iterqr_training.labels.label_folder import LabelFolder, read_label_folder, write_label_folder
from iterqr_training.labels.records import Kind, Label
from iterqr_training.main import main
from support.signals.raw_rows import Event, Hit, Page, Signals, write_raw

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LIKED = Evidence(examined=4, clicks=4, covered=4, page_clicks=4, page_examined=8, pages=4, hits=4)
MISSED = Evidence(examined=4, clicks=0, covered=0, page_clicks=4, page_examined=8, pages=4, hits=4)


def make_label(query: str = "pad tai", subject: str = "pad thai", **more: Any) -> Label:  # noqa: ANN401 - fields
    label = Label(
        Task.RELEVANCE, query, "north", subject, Kind.REWRITE, positive=True, weight=1.0, source=LabelSource.CLICK,
        observed_at=NOON, band=Band.TAIL, clients=5,
    )  # fmt: skip
    return replace(label, **more)


def make_candidate(
    evidence: Evidence = LIKED, query: str = "pad tai", subject: str = "pad thai", clients: int = 5
) -> Candidate:
    return Candidate(Query(query, "north", Band.TAIL, searches=5, clients=clients, observed_at=NOON), subject, evidence)


def make_chain(query: str = "pad tai", region: str = "north", hints: Sequence[str] = ("Pad Thai",)) -> Chain:
    return Chain(query, region, tuple(hints), f"{query} fixed", "dish", f"what {query} means", "base")


def make_folder(
    path: Path,
    labels: Iterable[Label],
    chains: Iterable[Chain] = (),
    *,
    iteration: int = 0,
    upper_bound: bool = False,
    failed: str = "",
) -> LabelFolder:
    """Writes a folder of labels and reads it back."""
    checks = [{"name": "label_agreement", "subject": "final", "passed": False, "words": failed}] if failed else []
    about = {"iteration": iteration, "is_upper_bound": upper_bound, "checks": checks}
    ordered = tuple(sorted(labels, key=lambda each: each.order))
    write_label_folder(path, ordered, {each.key: each for each in chains}, about)
    return read_label_folder(path)


def town() -> Signals:
    """Searches of known outcome, one page each by a client of its own.

    - pad tai: "pad thai" alone retrieves what all click; "frozen pizza" what nobody does, "zzz" nothing.
    - soop: "soup" and the original retrieve what all click; "soap" what nobody does.
    - ramen: the original suffices, so nobody knows what "noodle soup" would have retrieved.
    - a query over the limit of 256 characters.
    - rare: as pad tai, but one person alone searches with it.
    - my number 555 123 4567: as pad tai, but it may tell of somebody. The same people search for pad tai next.
    - winggs: four clients search for "wings" 30 s later and click, then three of them for "wing platter", and click;
      nine more search for "wings" alone. Nothing has rewrites.
    """
    pages: list[Page] = []
    events: list[Event] = []
    for query, texts, clients in (
        ("pad tai", ("pad thai", "frozen pizza", "zzz"), 6),
        ("rare", ("rare steak", "well done", "zzz"), 1),
        ("my number 555 123 4567", ("phone shop", "call center", "zzz"), 6),
    ):
        for number in range(clients):
            name = f"{query}-{number}"
            hits = [
                Hit(f"{query}-wanted", 1, rewrites={"good": 1}),
                Hit(f"{query}-plain", 2, original=1),
                Hit(f"{query}-other", 3, rewrites={"bad": 1}),
            ]
            named = dict(zip(("good", "bad", "none"), texts, strict=True))
            pages.append(Page(name, name, f"client-{number}", number * 100, query, texts=named, hits=hits))
            events.append(Event(f"e-{name}", "click", name, f"{query}-wanted", f"client-{number}", number * 100 + 9))
    for number in range(12):
        name = f"soop-{number}"
        hits = [
            Hit("soup-hot", 1, original=1, rewrites={"good": 1}),
            *(Hit(f"soap-{place}", place, original=place, rewrites={"bad": place}) for place in range(2, 8)),
        ]
        texts_of = {"good": "soup", "bad": "soap"}
        pages.append(Page(name, name, f"client-{number}", 5_000 + number, "soop", texts=texts_of, hits=hits))
        events.append(Event(f"e-{name}", "click", name, "soup-hot", f"client-{number}", 5_100 + number))
    for number in range(6):
        name = f"long-{number}"
        hits = [Hit("long", 1, rewrites={"r": 1})]
        query = "something " * 30
        pages.append(Page(name, name, f"client-{number}", 8_000, query.strip(), texts={"r": "anything"}, hits=hits))
    for number in range(5):
        name = f"ramen-{number}"
        hits = [Hit("ramen", 1, original=1)]
        pages.append(
            Page(
                name, name, f"client-{number}", 9_000, "ramen",
                outcome="original_suffices", texts={"r": "noodle soup"}, hits=hits,
            )
        )  # fmt: skip
    searched = [("winggs", n, 20_000) for n in range(4)] + [("wings", n, 20_030) for n in range(13)]
    searched += [("wing platter", n, 20_060) for n in range(3)]
    for query, number, at_s in searched:
        name, client = f"{query}-{number}", f"client-{number}"
        pages.append(Page(name, name, client, at_s, query, hits=[Hit(f"{query}-hit", 1, original=1)]))
        if query != "winggs":
            events.append(Event(f"e-{name}", "click", name, f"{query}-hit", client, at_s + 9))
    return Signals(tuple(pages), tuple(events))


TITLES = {
    "pad tai-wanted": "Pad Thai with Shrimp",
    "pad tai-other": "Pizza from the Freezer",
    "soup-hot": "Hot Soup",
    **{f"soap-{place}": f"Soap {place}" for place in range(2, 8)},
}


def attributed_town(folder: Path) -> list[str]:
    """Writes the town below a folder, attributes it, and returns the flags that name both to `label`."""
    write_raw(town(), folder / "signals")
    main(["attribute", "--signals", f"{folder}/signals", "--out", f"{folder}/marts", "--keep-bots"])
    return ["--signals", f"{folder}/signals", "--marts", f"{folder}/marts"]


def write_lines(path: Path, rows: Iterable[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path

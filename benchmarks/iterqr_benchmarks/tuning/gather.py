"""Asks the running stack once for everything the grid needs: rewrites, and the windows of query and rewrites."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from iterqr_training.evaluate.fusion import FusionRule, RecordedRewrite, WindowHit, replay
from opensearchpy import OpenSearch

from iterqr_benchmarks.catalog import Catalog
from iterqr_benchmarks.demo.observation import FUSED
from iterqr_benchmarks.demo.searching import DemoSearch
from iterqr_benchmarks.errors import BenchmarkError
from iterqr_benchmarks.index import DISHES_INDEX, search_body
from iterqr_benchmarks.queries import TailQuery
from iterqr_benchmarks.report.json_file import write_whole

LARGEST_WINDOW = 100


@dataclass(frozen=True, slots=True)
class GatheredRewrite:
    """A rewrite and its window."""

    text: str
    confidence: float
    window: tuple[WindowHit, ...]


@dataclass(frozen=True, slots=True)
class Gathered:
    """One query: who satisfies it, what it retrieves as typed, and its rewrites.

    `all_terms`: documents that have every word of the query as typed, each spelt about so, in one field. `works`: see
    `Observation.works`. `agrees`: whether fusing the windows here gives the plugin's own page.
    """

    query: str
    kind: str
    relevant: frozenset[str]
    original: tuple[WindowHit, ...]
    all_terms: int
    rewrites: tuple[GatheredRewrite, ...]
    works: bool
    agrees: bool


def gather(
    client: OpenSearch,
    search: DemoSearch,
    queries: Sequence[TailQuery],
    catalog: Catalog,
    running: FusionRule,
    on_query: Callable[[str], None],
) -> list[Gathered]:
    """Returns what each query gives.

    Args:
        client: Of the node.
        search: Searches with the channel.
        queries: To gather.
        catalog: Tells which dishes satisfy them.
        running: What the pipeline has.
        on_query: Called with each query before it is searched.
    """
    gathered = []
    for query in queries:
        on_query(query.query)
        seen = search.observe(query, query.satisfying(catalog))
        original = _window(client, query.query, query.region)
        rewrites = tuple(
            GatheredRewrite(each.text, each.confidence, _window(client, each.text, query.region))
            for each in seen.rewriting.rewrites
        )
        shown = [hit.dish_id for hit in seen.channel_hits]
        recorded = [RecordedRewrite(each.confidence, each.window) for each in rewrites]
        fused = replay(running, query.query, original, recorded)[: len(shown)]
        gathered.append(
            Gathered(
                query=query.query,
                kind=query.kind,
                relevant=seen.relevant,
                original=original,
                all_terms=_all_terms(client, query.query, query.region),
                rewrites=rewrites,
                works=seen.works,
                agrees=seen.rewriting.outcome != FUSED or fused == shown,
            )
        )
    return gathered


def save(gathered: Sequence[Gathered], file: Path) -> None:
    """Writes what was gathered, so that another grid needs no stack."""
    write_whole(file, json.dumps([_packed(each) for each in gathered], ensure_ascii=False) + "\n")


def load(file: Path) -> list[Gathered]:
    """Reads what `save` wrote.

    Raises:
        BenchmarkError: The file cannot be read or is none of these.
    """
    try:
        return [_unpacked(each) for each in json.loads(file.read_text(encoding="utf-8"))]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BenchmarkError(f"{file}: not what `iterqr-bench tune` gathered: {error}") from error


def _window(client: OpenSearch, text: str, region: str) -> tuple[WindowHit, ...]:
    body = {**search_body(text, region, LARGEST_WINDOW), "_source": False, "seq_no_primary_term": True}
    response = client.search(index=DISHES_INDEX, body=body, params={"search_pipeline": "_none"})
    return tuple(WindowHit(hit["_id"], hit["_seq_no"], hit["_score"]) for hit in response["hits"]["hits"])


def _all_terms(client: OpenSearch, text: str, region: str) -> int:
    body = search_body(text, region, 0)
    body["query"]["bool"]["must"][0]["multi_match"]["operator"] = "and"
    found: int = client.search(index=DISHES_INDEX, body=body, params={"search_pipeline": "_none"})["hits"]["total"][
        "value"
    ]
    return found


def _packed(gathered: Gathered) -> dict[str, Any]:
    return {**asdict(gathered), "relevant": sorted(gathered.relevant)}


def _unpacked(packed: dict[str, Any]) -> Gathered:
    rewrites = [{**each, "window": _hits(each["window"])} for each in packed["rewrites"]]
    return Gathered(
        **{
            **packed,
            "relevant": frozenset(packed["relevant"]),
            "original": _hits(packed["original"]),
            "rewrites": tuple(GatheredRewrite(**each) for each in rewrites),
        }
    )


def _hits(packed: Sequence[dict[str, Any]]) -> tuple[WindowHit, ...]:
    return tuple(WindowHit(**hit) for hit in packed)

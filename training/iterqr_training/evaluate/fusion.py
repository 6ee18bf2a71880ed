"""The plugin's fusion on recorded windows: policy, weights and the three strategies, ties and coin included.

`proto/golden/fusion_v1/lists.json` keeps this and the plugin's Java equal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from iterqr_proto.policy import Policy, RewriteFeatures, original_features, overlap


@dataclass(frozen=True, slots=True)
class WindowHit:
    """A hit of a window. `seq_no` orders ties, as in the plugin; the index has one shard. `score`: in the window."""

    object_id: str
    seq_no: int
    score: float = field(default=0.0, compare=False)


Strategy = Literal["rrf", "append", "interleave"]
Windows = Sequence[tuple[float, Sequence[WindowHit]]]
"""Windows with the weight of each."""

MAX_WEIGHT = 1_000.0
"""Of a rewrite, as in the plugin."""
_MASK = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class FusionRule:
    """Everything that decides a list, as in a pipeline."""

    policy: Policy
    strategy: Strategy = "rrf"
    original_weight: float = 1.0
    rewrite_weight: float = 0.5
    rank_constant: int = 60
    window_size: int = 50
    append_below: int = 10


@dataclass(frozen=True, slots=True)
class RecordedRewrite:
    """A rewrite of one query as the policy and the fusion see it."""

    confidence: float
    window: Sequence[WindowHit]


def shares(
    rule: FusionRule, query: str, original: Sequence[WindowHit], rewrites: Sequence[RecordedRewrite]
) -> list[float]:
    """Returns each rewrite's weight as a share of `rewrite_weight`; 0: it takes no part."""
    if not rule.policy.rewrites(len(query)):
        return [0.0] * len(rewrites)
    cut = original[: rule.window_size]
    features = original_features([hit.score for hit in cut], len(query))
    return [
        rule.policy.factor(
            features,
            RewriteFeatures(position, rewrite.confidence, overlap(cut, rewrite.window[: rule.window_size])),
        )
        for position, rewrite in enumerate(rewrites)
    ]


def replay(
    rule: FusionRule, query: str, original: Sequence[WindowHit], rewrites: Sequence[RecordedRewrite]
) -> list[str]:
    """Returns the ids of the list, best first. The query's own text seeds the coin."""
    parts = [
        (min(share * rule.rewrite_weight, MAX_WEIGHT), rewrite.window[: rule.window_size])
        for share, rewrite in zip(shares(rule, query, original, rewrites), rewrites, strict=True)
        if share > 0
    ]
    mine = original[: rule.window_size]
    return [hit.object_id for hit in fuse_windows(rule, mine, parts, seed=seed_of(query))]


def fuse_windows(rule: FusionRule, original: Sequence[WindowHit], rewrites: Windows, *, seed: int) -> list[WindowHit]:
    """Returns the list of windows as they are.

    Args:
        rule: Strategy, the original's weight, rank constant and `append_below` of it are used.
        original: Window of the query as typed.
        rewrites: Those that take part, in their order.
        seed: Of the interleaving's coin, 64 bits.
    """
    if not rewrites:
        return list(original)
    if rule.strategy == "interleave":
        return [hit for hit, _ in team_draft(original, by_reciprocal_rank(rewrites, rule.rank_constant), seed=seed)]
    if rule.strategy == "append":
        if len(original) >= rule.append_below:
            return list(original)
        known = set(original)
        return [*original, *(hit for hit in by_reciprocal_rank(rewrites, rule.rank_constant) if hit not in known)]
    return by_reciprocal_rank([(rule.original_weight, original), *rewrites], rule.rank_constant)


def by_reciprocal_rank(windows: Windows, rank_constant: int) -> list[WindowHit]:
    """Returns every hit of any window, best first; equal scores by best rank, then `seq_no`."""
    score: dict[WindowHit, float] = {}
    best_rank: dict[WindowHit, int] = {}
    for weight, window in windows:
        for rank, hit in enumerate(window, start=1):
            score[hit] = score.get(hit, 0.0) + weight / (rank_constant + rank)
            best_rank[hit] = min(rank, best_rank.get(hit, rank))
    return sorted(score, key=lambda hit: (-score[hit], best_rank[hit], hit.seq_no))


def team_draft(
    original: Sequence[WindowHit], rewrites: Sequence[WindowHit], *, seed: int
) -> list[tuple[WindowHit, str]]:
    """Interleaves two lists (Radlinski, Kurup and Joachims, CIKM 2008); returns hits with the team that picked each."""
    lists = {"original": list(original), "rewrites": list(rewrites)}
    picks = {"original": 0, "rewrites": 0}
    taken: dict[WindowHit, str] = {}
    round_number = 0
    while any(lists.values()):
        if not lists["original"] or not lists["rewrites"]:
            team = "original" if lists["original"] else "rewrites"
        elif picks["original"] == picks["rewrites"]:
            team = "original" if coin(seed, round_number) else "rewrites"
            round_number += 1
        else:
            team = min(picks, key=lambda name: picks[name])
        hit = lists[team][0]
        taken[hit] = team
        picks[team] += 1
        lists = {name: [each for each in rest if each != hit] for name, rest in lists.items()}
    return list(taken.items())


def seed_of(text: str) -> int:
    """Returns the first 8 bytes of the text's SHA-256, big-endian."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def coin(seed: int, round_number: int) -> bool:
    """SplitMix64's output for the round, its highest bit: whether the original picks first."""
    z = (seed + (round_number + 1) * 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return bool((z ^ (z >> 31)) >> 63)

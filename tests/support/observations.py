"""Observations of searches as the demo makes them, for tests of what reads them."""

from __future__ import annotations

from collections.abc import Sequence

from iterqr_benchmarks.demo.observation import (
    FUSED,
    ORIGINAL,
    REWRITE,
    ChannelTag,
    Hit,
    Observation,
    Rewriting,
    UsedRewrite,
)


def make_tag(name: str = ORIGINAL, rank: int = 1, rewrite: UsedRewrite | None = None) -> ChannelTag:
    return ChannelTag(
        name=name,
        rank=rank,
        score=10.0 / rank,
        rewrite_id=rewrite.rewrite_id if rewrite else "",
        text=rewrite.text if rewrite else "",
    )


def make_rewrite(number: int = 1, text: str = "chicken tikka masala", retrieved: int = 12) -> UsedRewrite:
    return UsedRewrite(rewrite_id=f"{number:016x}", text=text, confidence=0.8, retrieved=retrieved)


def make_hits(
    ids: Sequence[str], relevant: frozenset[str], *, tagged: bool, rewrite: UsedRewrite | None = None
) -> tuple[Hit, ...]:
    """Hits named for their ids; with a rewrite they are its hits, else the original's."""
    name = REWRITE if rewrite else ORIGINAL
    return tuple(
        Hit(
            dish_id=dish_id,
            title=f"Dish {dish_id}",
            merchant="Spice Garden",
            satisfies=dish_id in relevant,
            channels=(make_tag(name, rank, rewrite),) if tagged else (),
        )
        for rank, dish_id in enumerate(ids, start=1)
    )


def make_rewriting(
    *,
    outcome: str = FUSED,
    fix: str = "chicken tikka masala",
    rewrites: Sequence[UsedRewrite] | None = None,
    total_ms: float = 640.0,
) -> Rewriting:
    return Rewriting(
        outcome=outcome,
        fix=fix,
        intent="dish",
        meaning="a creamy curry",
        hints=("Chicken Tikka Masala",),
        rewrites=tuple(rewrites if rewrites is not None else [make_rewrite()]),
        checkpoint_id="qwen-test",
        timings={"rewrite_ms": total_ms - 20, "windows_ms": 8.0, "fetch_ms": 4.0, "total_ms": total_ms},
    )


def make_observation(
    *,
    query: str = "chikn tika masla",
    kind: str = "typo",
    plain: Sequence[str] = ("x",),
    channel: Sequence[str] = ("a", "x"),
    relevant: Sequence[str] = ("a", "b"),
    tagged: bool = True,
    rewriting: Rewriting | None = None,
) -> Observation:
    told = rewriting or make_rewriting()
    known = frozenset(relevant)
    rewrite = told.rewrites[0] if told.rewrites else None
    return Observation(
        query=query,
        kind=kind,
        region="north",
        relevant=known,
        plain_hits=make_hits(plain, known, tagged=False),
        plain_ms=6.0,
        channel_hits=make_hits(channel, known, tagged=tagged, rewrite=rewrite),
        channel_ms=650.0,
        rewriting=told,
    )

"""Whether an output is of use: the measure by which a fast engine may not buy its speed with worse text."""

from __future__ import annotations

from iterqr_proto.rewrite_format import parse

from iterqr_benchmarks.queries.normalized import normalized


def through_rewrite(text: str, count: int) -> str:
    """Returns the text up to its `count`th `rw:` line, so that all engines' outputs are judged on the same lines."""
    kept: list[str] = []
    for line in text.split("\n"):
        kept.append(line)
        count -= line.partition(":")[0].strip().lower() == "rw"
        if not count:
            break
    return "\n".join(kept)


def usable_rewrites(text: str, query: str) -> tuple[str, ...]:
    """Returns the rewrites that differ from the query and from each other in more than case, accents and spaces."""
    seen = {normalized(query), ""}
    usable = []
    for rewrite in parse(text).rewrites:
        if (form := normalized(rewrite)) not in seen:
            seen.add(form)
            usable.append(rewrite)
    return tuple(usable)


def is_valid(text: str, query: str) -> bool:
    """Whether the output has fix, intent, meaning and at least one usable rewrite."""
    return parse(text).has_chain_of_thought and bool(usable_rewrites(text, query))

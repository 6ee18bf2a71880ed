"""What the probes say about an engine: one line for each thing the server relies on, and whether it is off."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from iterqr_server.engine.interface import EngineStats
from iterqr_server.engine_check.probes import SCORED, ProbeAnswer, ProbeResults

_LEAST_REUSED = 0.5  # of the prompt tokens when the same prompts come again


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One thing that was looked at: what was found, and in words what is off about it, if anything is."""

    name: str
    found: str
    fault: str = ""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """All lines about one engine."""

    engine: str
    model: str
    lines: tuple[CheckLine, ...]

    @property
    def faults(self) -> tuple[CheckLine, ...]:
        """Lines that say what is off."""
        return tuple(line for line in self.lines if line.fault)

    def to_text(self) -> str:
        """For people: every line, then what is off, plainly."""
        rows = [f"engine {self.engine}, model {self.model or 'not loaded'}"]
        rows += [f"{'OFF' if line.fault else 'ok ':4}{line.name:24}{line.found}".rstrip() for line in self.lines]
        rows += [f"off: {line.name}: {line.fault}" for line in self.faults]
        rows.append("nothing is off" if not self.faults else f"{len(self.faults)} of {len(self.lines)} are off")
        return "\n".join(rows)

    def to_json(self) -> str:
        """For programs: one object in one line."""
        return json.dumps({**asdict(self), "is_fine": not self.faults}, ensure_ascii=False)


def probe_lines(results: ProbeResults) -> tuple[CheckLine, ...]:
    """Returns the lines about a run of the probes."""
    every = results.first + results.again + results.together
    return (
        _prefix_cache(results.before_again, results.after_again),
        _guided(every),
        _drafts(results.at_end),
        _first_tokens(results),
        _throughput(results),
        _neighbours(results),
        _log_probabilities(every),
        _scores(results.shares_of_yes),
        _abort(results.drain_s),
        _statistics(results.at_end),
    )


def _prefix_cache(before: EngineStats, after: EngineStats) -> CheckLine:
    asked = after.prompt_tokens_total - before.prompt_tokens_total
    reused = after.prefix_tokens_reused_total - before.prefix_tokens_reused_total
    share = reused / asked if asked else 0.0
    fault = "" if share >= _LEAST_REUSED else f"prompts that came again were computed again: {share:.0%} was reused"
    return CheckLine(
        "prefix cache", f"{reused} of {asked} prompt tokens of repeated prompts reused ({share:.0%})", fault
    )


def _guided(answers: Sequence[ProbeAnswer]) -> CheckLine:
    wrong = [answer for answer in answers if not answer.is_valid]
    cut = sum(not answer.is_whole for answer in answers)
    fault = f"{len(wrong)} outputs break the rewrite format, first that of {wrong[0].query!r}" if wrong else ""
    found = f"{len(answers) - len(wrong)} of {len(answers)} outputs keep to the format, {cut} cut at the token limit"
    return CheckLine("guided output", found, fault)


def _drafts(stats: EngineStats) -> CheckLine:
    proposed = sum(source.proposed for source in stats.drafts)
    accepted = sum(source.accepted for source in stats.drafts)
    if not proposed:
        return CheckLine("drafts", "none were proposed")
    sources = ", ".join(f"{each.source} {each.accepted}/{each.proposed}" for each in stats.drafts)
    found = f"{accepted} of {proposed} accepted ({accepted / proposed:.0%}): {sources}"
    return CheckLine("drafts", found, "" if accepted else "no guess came true: they cost time and bring nothing")


def _first_tokens(results: ProbeResults) -> CheckLine:
    parts = [
        f"{name} p50 {1000 * statistics.median(a.first_s for a in answers):.1f} ms, "
        f"max {1000 * max(a.first_s for a in answers):.1f} ms"
        for name, answers in (("new", results.first), ("repeated", results.again), ("together", results.together))
    ]
    return CheckLine("time to first token", "; ".join(parts))


def _throughput(results: ProbeResults) -> CheckLine:
    alone = sum(a.tokens for a in results.again) / sum(a.total_s for a in results.again)
    together = sum(a.tokens for a in results.together) / results.together_s
    return CheckLine("tokens/s", f"{alone:.1f} one at a time, {together:.1f} with {len(results.together)} together")


def _neighbours(results: ProbeResults) -> CheckLine:
    changed = [
        a.query
        for a, b, c in zip(results.first, results.again, results.together, strict=True)
        if not a.text == b.text == c.text
    ]
    total = len(results.first)
    fault = f"the text depends on what is cached or runs beside it, first for {changed[0]!r}" if changed else ""
    return CheckLine("same text", f"{total - len(changed)} of {total} the same new, repeated and together", fault)


def _log_probabilities(answers: Sequence[ProbeAnswer]) -> CheckLine:
    wrong = sum(not answer.has_logprobs for answer in answers)
    fault = f"{wrong} outputs lack finite log probabilities, one a token" if wrong else ""
    return CheckLine("log probabilities", f"{len(answers) - wrong} of {len(answers)} outputs have one a token", fault)


def _scores(shares: Sequence[float]) -> CheckLine:
    found = ", ".join(
        f"{query!r} -> {rewrite!r} {share:.3f}" for (query, rewrite), share in zip(SCORED, shares, strict=True)
    )
    wrong = [share for share in shares if not (math.isfinite(share) and 0 <= share <= 1)]
    if wrong:
        return CheckLine("scores", found, f"{wrong[0]} is no probability")
    is_blind = len(set(shares)) == 1
    return CheckLine("scores", found, "every pair has the same score: answers are not read" if is_blind else "")


def _abort(drain_s: float | None) -> CheckLine:
    if drain_s is None:
        return CheckLine("abort", "not drained", "an aborted request kept its place")
    return CheckLine("abort", f"drained in {1000 * drain_s:.1f} ms")


def _statistics(stats: EngineStats) -> CheckLine:
    found = (
        f"{stats.steps_total} steps in {stats.step_seconds_total:.2f} s, "
        f"{stats.kv_positions_used} of {stats.kv_positions_limit} cache positions used"
    )
    missing = [
        name for name, value in (("steps", stats.steps_total), ("cache size", stats.kv_positions_limit)) if not value
    ]
    return CheckLine("statistics", found, f"the engine tells no {' and no '.join(missing)}" if missing else "")

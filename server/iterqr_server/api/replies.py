"""Results as messages of the contract."""

from __future__ import annotations

from iterqr.rewrite.v1 import query_rewrite_service_pb2 as pb
from iterqr_proto.rewrite_format import FORMAT_VERSION

from iterqr_server.rewrite.guard import rewrite_id
from iterqr_server.rewrite.scoring import Scores
from iterqr_server.rewrite.service import Outcome, RewriteResult, Source

_OUTCOMES = {
    Outcome.COMPLETE: pb.OUTCOME_COMPLETE,
    Outcome.PARTIAL: pb.OUTCOME_PARTIAL,
    Outcome.NO_REWRITES: pb.OUTCOME_NO_REWRITES,
}
_SOURCES = {
    Source.GENERATED: pb.SOURCE_GENERATED,
    Source.CACHE: pb.SOURCE_CACHE,
    Source.COALESCED: pb.SOURCE_COALESCED,
}


def rewrite_reply(
    result: RewriteResult, *, request_id: str, total_us: int, policy_json: str = ""
) -> pb.RewriteQueryResponse:
    """Returns the message for a rewritten query. `policy_json`: how callers weigh the rewrites."""
    output = result.output
    return pb.RewriteQueryResponse(
        request_id=request_id,
        outcome=_OUTCOMES[result.outcome],
        source=_SOURCES[result.source],
        chain_of_thought=pb.ChainOfThought(fix=output.fix, intent=output.intent, meaning=output.meaning),
        rewrites=[
            pb.Rewrite(
                rewrite_id=rewrite_id(result.checkpoint_id, result.query, rewrite.text),
                text=rewrite.text,
                confidence=rewrite.confidence,
            )
            for rewrite in output.rewrites
        ],
        checkpoint_id=result.checkpoint_id,
        format_version=FORMAT_VERSION,
        hints_version=result.hints_version,
        hints=result.hints,
        timings=pb.Timings(
            total_us=total_us,
            hints_us=result.hints_us,
            first_token_us=result.first_token_us,
            generation_us=result.generation_us,
        ),
        token_usage=pb.TokenUsage(prompt_tokens=result.prompt_tokens, generated_tokens=result.generated_tokens),
        policy_json=policy_json,
    )


def scores_reply(scores: Scores) -> pb.ScoreRewritesResponse:
    """Returns the message for scored rewrites."""
    return pb.ScoreRewritesResponse(
        scores=[pb.RewriteScore(quality=score.quality, relevance=score.relevance) for score in scores.of_rewrites],
        checkpoint_id=scores.checkpoint_id,
    )

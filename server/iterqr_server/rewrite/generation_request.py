"""What the engine is asked for one query: the same in the server and where the engine is measured alone."""

from __future__ import annotations

from iterqr_proto.rewrite_format import Field, Prompt, RewriteInput, grammar

from iterqr_server.engine.interface import GenerationRequest
from iterqr_server.rewrite.drafts import expected_texts


def generation_request(
    request_id: str,
    source: RewriteInput,
    prompt: Prompt,
    *,
    max_rewrites: int,
    max_new_tokens: int,
    tenant: str = "",
    deadline: float | None = None,
    min_rewrites: int = 1,
) -> GenerationRequest:
    """Returns the request for `prompt`, made from `source`: under the grammar, with drafts of what it may repeat."""
    return GenerationRequest(
        request_id=request_id,
        prompt=prompt,
        max_new_tokens=max_new_tokens,
        tenant=tenant,
        guide=grammar(max_rewrites, source.query, min(min_rewrites, max_rewrites)),
        distinct=f"{Field.REWRITE.value}: ",
        deadline=deadline,
        drafts=expected_texts(source),
    )

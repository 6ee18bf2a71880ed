"""What an answer in rewrite format v1 is likely to repeat: its own fixed text, the query and the hints."""

from __future__ import annotations

from iterqr_proto.rewrite_format import Field, RewriteInput


def expected_texts(source: RewriteInput) -> tuple[str, ...]:
    """Returns passages as a model would write them, for `GenerationRequest.drafts`.

    Models write titles in lower case, and lines that repeat the query as it was typed.
    """
    fix, intent, meaning, rewrite = (f"{field.value}:" for field in Field)
    lines = [f"{fix} {source.query}\n{intent}", f"\n{meaning} {source.query}\n{rewrite} {source.query}\n{rewrite}"]
    lines += [f"\n{rewrite} {hint.lower()}\n{rewrite}" for hint in source.hints]
    return tuple(lines)

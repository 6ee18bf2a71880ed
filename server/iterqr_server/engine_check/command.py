"""Runs the check: names first, where there are any, then a start, then the probes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from iterqr_proto.rewrite_format import RewriteInput, Template, render

from iterqr_server.engine.errors import EngineError
from iterqr_server.engine.interface import GenerationEngine
from iterqr_server.engine_check.probes import run_probes
from iterqr_server.engine_check.report import CheckLine, CheckReport, probe_lines

_WARM_UP_QUERY = "warm up"


async def check_engine(
    engine: GenerationEngine,
    template: Template,
    *,
    name: str,
    max_new_tokens: int,
    before: Sequence[CheckLine] = (),
) -> CheckReport:
    """Starts the engine, runs the probes and closes it. An engine that fails is a line of the report too.

    `before` are lines about what was compared before the engine was made.
    """
    lines = list(before)
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        await engine.start(render(template, RewriteInput(_WARM_UP_QUERY)))
        lines.append(CheckLine("start", f"loaded and warm in {loop.time() - began:.1f} s"))
        lines += probe_lines(await run_probes(engine, template, max_new_tokens))
    except (EngineError, ValueError) as error:
        lines.append(CheckLine("start" if len(lines) == len(before) else "probes", "failed", str(error)))
    finally:
        await engine.close()
    return CheckReport(name, engine.model_id, tuple(lines))

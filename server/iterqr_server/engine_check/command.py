"""Runs the check: names first, where there are any, then a start, then the probes, then a swap if one is asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from iterqr_proto.rewrite_format import RewriteInput, Template, render

from iterqr_server.engine.errors import EngineError
from iterqr_server.engine.interface import GenerationEngine
from iterqr_server.engine_check.probes import ask_once, run_probes
from iterqr_server.engine_check.report import CheckLine, CheckReport, probe_lines
from iterqr_server.engine_check.second_model import SecondModel, check_swap
from iterqr_server.models.errors import ModelError

_WARM_UP_QUERY = "warm up"


async def check_engine(
    engine: GenerationEngine,
    template: Template,
    *,
    name: str,
    max_new_tokens: int,
    before: Sequence[CheckLine] = (),
    second: SecondModel | None = None,
) -> CheckReport:
    """Starts the engine, runs the probes and closes it. An engine that fails is a line of the report too.

    `before` are lines about what was compared before the engine was made; `second` is loaded as a swap would, at last.
    """
    lines = list(before)
    loop = asyncio.get_running_loop()
    began = loop.time()
    warm_up = render(template, RewriteInput(_WARM_UP_QUERY))
    at = "start"
    try:
        await engine.start(warm_up)
        lines.append(CheckLine("start", f"loaded and warm in {loop.time() - began:.1f} s"))
        at = "probes"
        lines += probe_lines(await run_probes(engine, template, max_new_tokens))
        at = "swap"
        if second is not None:
            lines.append(
                await check_swap(engine, second, warm_up, lambda each: ask_once(each, template, max_new_tokens))
            )
    except (EngineError, ModelError, ValueError) as error:
        lines.append(CheckLine(at, "failed", str(error)))
    finally:
        await engine.close()
    return CheckReport(name, engine.model_id, tuple(lines))

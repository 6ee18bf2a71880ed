"""`iterqr-bench`: the demo, its stack left running, and the tuning of its defaults."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from iterqr_dev_node import DEFAULT_VERSION, DevNodeError
from iterqr_training.machine import usable_cores
from rich.console import Console

from iterqr_benchmarks.demo.run import DemoOptions, run_demo
from iterqr_benchmarks.engine_comparison.curve import CurveOptions, run_curve
from iterqr_benchmarks.engine_comparison.engines import ENGINES, ENGINES_OF, EngineOptions
from iterqr_benchmarks.engine_comparison.exactness import ExactnessOptions, exactness_table, run_exactness
from iterqr_benchmarks.engine_comparison.prompt_set import PACKAGED as PACKAGED_PROMPTS
from iterqr_benchmarks.engine_comparison.record import record_prompts
from iterqr_benchmarks.engine_comparison.run import ComparisonOptions, run_comparison
from iterqr_benchmarks.errors import BenchmarkError
from iterqr_benchmarks.marketplace.ablation_command import (
    add_bench_ablation_flags,
    run_bench_ablation,
)
from iterqr_benchmarks.marketplace.flags import add_sim_flags, sim_options
from iterqr_benchmarks.marketplace.learning import STACK
from iterqr_benchmarks.marketplace.loop_command import add_bench_loop_flags, run_bench_loop
from iterqr_benchmarks.marketplace.run import run_sim
from iterqr_benchmarks.marketplace.truth_command import add_truth_flags, run_truth, truth_options
from iterqr_benchmarks.queries.load import QuerySetName, load_queries
from iterqr_benchmarks.rpc_load.run import LoadOptions, run_load
from iterqr_benchmarks.search_load.run import SearchLoadOptions, run_search_load
from iterqr_benchmarks.signal_scale.run import ENGINES as SIGNAL_ENGINES
from iterqr_benchmarks.signal_scale.run import SignalScaleOptions, run_signal_scale
from iterqr_benchmarks.soak.own_server import OwnServer
from iterqr_benchmarks.soak.run import SoakOptions, run_soak
from iterqr_benchmarks.stack.checkpoint import served_checkpoint
from iterqr_benchmarks.stack.leave_running import bring_up, running_stack, take_down
from iterqr_benchmarks.stack.settings import MODEL, SEED, ChannelSettings, StackSettings
from iterqr_benchmarks.stack.state import StackFolder
from iterqr_benchmarks.tuning.policies import PolicyOptions, run_policies
from iterqr_benchmarks.tuning.run import TuneOptions, run_tuning

_CHECKOUT = Path(__file__).resolve().parents[2]
_NON_TERMINAL_WIDTH = 130
# What is chosen must not depend on how fast this machine is.
_TUNED_STACK = StackSettings(channel=ChannelSettings(budget_ms=60_000))
# Nor what users are shown; how many rewrites a shorter budget would see is in the timings of the impressions.
_SIM_STACK = StackSettings(channel=ChannelSettings(budget_ms=10_000))
_QUICK_QUERIES = 8
_QUICK_CAPACITY_S = 10.0
_QUICK_DURATION_S = 30.0
_QUICK_SEARCH_S = 0.5
_SOAKED_QUERIES = 40  # so few that the model has rewritten all of them soon after each restart
_QUICK_IMPRESSIONS = (20_000, 100_000)
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_EXAMPLES = """\
examples:
  iterqr-bench demo                       all 40 queries without and with rewrites; report in build/demo
  iterqr-bench demo --limit 5             a first look, the preparation included
  iterqr-bench demo --queries tuning      the 200 queries that prompt and weights were chosen on
  iterqr-bench demo --opensearch-version 3.6.0
  iterqr-bench up                         leave node and server running, print searches to try
  iterqr-bench up --http-port 9200        ... on a port of your choice
  iterqr-bench down                       stop them
  iterqr-bench tune --limit 60            which fusion weights are best on the tuning queries
  iterqr-bench policies                   which policy harms least, on what `tune` recorded
  iterqr-bench engine                     our engine beside OpenVINO GenAI, llama.cpp and ONNX Runtime GenAI
  iterqr-bench engine --engines iterqr --queries 8 --rounds 1 --concurrency 1,16
  iterqr-bench engine --backend tensorrt_llm --model checkpoints/ID/hf --vllm-python vllm/bin/python
  iterqr-bench engine-curve               our engine by concurrency and by prompt length
  iterqr-bench engine-exactness           its texts with drafts beside those without
  iterqr-bench rpc                        the server under twice the load that it can bear
  iterqr-bench rpc --endpoint 127.0.0.1:50051 --load 0.8 --duration-s 600
  iterqr-bench search                     what rewriting adds to a search, one client and many
  iterqr-bench signals                    attribution of up to 10 million impressions on DuckDB and Spark
  iterqr-bench signals --impressions 100000,1000000 --engines duckdb
  iterqr-bench soak --minutes 5           whether anything grows under mixed load
  iterqr-bench sim                        a simulated marketplace, 10,000 needs of 1,000 users, and what is learned
  iterqr-bench sim --searches 500 --days 1 --merchants 200 --dishes 4000
  iterqr-bench sim --paired               and both arms again by the same users: paired intervals
  iterqr-bench sim --bots 0.05 --duplicates 0.02 --late 0.05
  iterqr-bench sim --paired --checkpoint DIR --max-rewrites 6    what a tuned checkpoint brings its users
  iterqr-bench loop                       learn from that marketplace's users, three times; build/loop/report.html
  iterqr-bench loop --iterations 1 --searches 300 --with 'train: --max-steps 5'
  iterqr-bench ablation                   what each part of training is worth, on what the loop learned last
  iterqr-bench truth --output build/truth/heldout.jsonl   held-out queries of that marketplace, to evaluate on
  iterqr-bench record-prompts             hints of all queries, for the comparison of engines

What is downloaded and built lies in $ITERQR_CACHE (default ~/.cache/iterqr); reports, logs and state in build/.
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point. Exit status: 0 it worked; 1 it did not, and why; 2 wrong usage; 130 interrupted."""
    options = _parser().parse_args(arguments)
    console = Console()
    if not console.is_terminal:
        console = Console(width=_NON_TERMINAL_WIDTH)
    before = {number: signal.signal(number, _interrupt) for number in _INTERRUPTS}
    command: Callable[[argparse.Namespace, Console], int] = options.command
    try:
        status = command(options, console)
    except (BenchmarkError, DevNodeError) as error:
        print(f"iterqr-bench: {error}", file=sys.stderr)
        status = 1
    except KeyboardInterrupt:
        print("iterqr-bench: interrupted; what it had started is stopped", file=sys.stderr)
        status = 130
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if status:
        sys.exit(status)


def _interrupt(_number: int, _frame: object) -> None:
    for number in _INTERRUPTS:  # a second Ctrl-C must not cut short the stopping that the first one asked for
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _demo(options: argparse.Namespace, console: Console) -> int:
    demo = DemoOptions(
        folder=options.folder / "demo",
        stack=_served_stack(options, console),
        query_set=options.queries,
        limit=options.limit,
    )
    return 0 if run_demo(demo, console).verdict.passed else 1


def _up(options: argparse.Namespace, console: Console) -> int:
    if options.checkpoint is not None and running_stack(StackFolder(options.folder / "run")):
        raise BenchmarkError("--checkpoint is served from the start: stop what is up with `iterqr-bench down` first")
    bring_up(options.folder / "run", _served_stack(options, console), console)
    return 0


def _down(options: argparse.Namespace, console: Console) -> int:
    take_down(options.folder / "run", console)
    return 0


def _tune(options: argparse.Namespace, console: Console) -> int:
    tune = TuneOptions(options.folder / "tune", _stack(options), limit=options.limit, gathered=options.gathered)
    run_tuning(tune, console)
    return 0


def _policies(options: argparse.Namespace, console: Console) -> int:
    gathered = options.gathered or options.folder / "tune" / "gathered.json"
    run_policies(PolicyOptions(gathered, options.folder / "tune", options.seed), console)
    return 0


def _engine(options: argparse.Namespace, console: Console) -> int:
    comparison = ComparisonOptions(
        folder=options.folder / "bench" / "engine",
        engines=options.engines or ENGINES_OF[options.backend],
        engine=_engine_options(options),
        queries=_QUICK_QUERIES if options.quick else options.queries,
        rounds=1 if options.quick else options.rounds,
        concurrency=options.concurrency,
    )
    run_comparison(comparison, console)
    return 0


def _engine_curve(options: argparse.Namespace, console: Console) -> int:
    folder = options.folder / "bench" / "engine"
    run_curve(CurveOptions(folder, _engine_options(options), options.queries), console)
    return 0


def _engine_exactness(options: argparse.Namespace, console: Console) -> int:
    folder = options.folder / "bench" / "engine"
    agreements = run_exactness(ExactnessOptions(folder, _engine_options(options), options.queries), console)
    console.print(exactness_table(agreements))
    return 0


def _rpc(options: argparse.Namespace, console: Console) -> int:
    load = LoadOptions(
        folder=options.folder / "bench" / "rpc",
        endpoint=options.endpoint,
        model=options.model,
        capacity_s=_QUICK_CAPACITY_S if options.quick else options.capacity_s,
        duration_s=_QUICK_DURATION_S if options.quick else options.duration_s,
        users=options.users,
        load=options.load,
        repeated_share=options.cached_share,
        deadline_ms=options.deadline_ms,
        late_allowance_ms=options.late_allowance_ms,
    )
    run_load(load, console)
    return 0


def _search(options: argparse.Namespace, console: Console) -> int:
    load = SearchLoadOptions(
        folder=options.folder / "bench" / "search",
        endpoint=options.endpoint,
        model=options.model,
        queries=min(options.queries, _QUICK_QUERIES) if options.quick else options.queries,
        rounds=1 if options.quick else options.rounds,
        duration_s=_QUICK_SEARCH_S if options.quick else options.duration_s,
        warm_up_s=_QUICK_SEARCH_S if options.quick else options.warm_up_s,
        users=options.users,
    )
    run_search_load(load, console)
    return 0


def _soak(options: argparse.Namespace, console: Console) -> int:
    folder = options.folder / "bench" / "soak"
    folder.mkdir(parents=True, exist_ok=True)
    server = OwnServer(StackFolder(folder), options.model)
    texts = tuple(each.query for each in load_queries("tuning")[:_SOAKED_QUERIES])
    try:
        server.start()
        report = run_soak(SoakOptions(folder, options.minutes, options.searchers, texts), server, console)
    finally:
        server.stop()
    return 0 if report.passed else 1


def _signals(options: argparse.Namespace, console: Console) -> int:
    scale = SignalScaleOptions(
        folder=options.folder / "bench" / "signals",
        impressions=_QUICK_IMPRESSIONS if options.quick else options.impressions,
        engines=options.engines,
        memory_gb=options.memory_gb,
        seed=options.seed,
        timeout_s=options.timeout_s,
    )
    report = run_signal_scale(scale, console)
    return 0 if report.equal and not any(run.failure for run in report.runs) else 1


def _sim(options: argparse.Namespace, console: Console) -> int:
    run_sim(sim_options(options, _served_stack(options, console)), console)
    return 0


def _loop(options: argparse.Namespace, console: Console) -> int:
    return run_bench_loop(options, _stack(options), console)


def _ablation(options: argparse.Namespace, console: Console) -> int:
    return run_bench_ablation(options, _stack(options), console)


def _truth(options: argparse.Namespace, console: Console) -> int:
    run_truth(truth_options(options), console)
    return 0


def _engine_options(options: argparse.Namespace) -> EngineOptions:
    return EngineOptions(
        model=options.model,
        threads=options.threads or usable_cores(),
        server_config=options.config.resolve() if options.config else None,
        uv=getattr(options, "uv", None),
        may_compile=not getattr(options, "quick", False),
        vllm_python=getattr(options, "vllm_python", None),
    )


def _record_prompts(options: argparse.Namespace, console: Console) -> int:
    record_prompts(options.folder / "record" / "run", _stack(options), options.output, console)
    return 0


def _stack(options: argparse.Namespace) -> StackSettings:
    channel = ChannelSettings()
    return StackSettings(
        opensearch_version=options.opensearch_version,
        model=options.model,
        seed=options.seed,
        template=str(options.template.resolve()) if options.template else "",
        http_port=options.http_port,
        grpc_port=options.grpc_port,
        hints_budget_ms=options.hints_budget_ms,
        channel=replace(
            channel,
            budget_ms=options.budget_ms,
            original_weight=options.original_weight,
            rewrite_weight=options.rewrite_weight,
            rank_constant=options.rank_constant,
        ),
    )


def _served_stack(options: argparse.Namespace, console: Console) -> StackSettings:
    if options.min_rewrites > options.max_rewrites:
        raise BenchmarkError(f"--min-rewrites is {options.min_rewrites}, above --max-rewrites, {options.max_rewrites}")
    stack = _stack(options)
    channel = replace(stack.channel, max_rewrites=options.max_rewrites)
    stack = replace(stack, channel=channel, min_rewrites=options.min_rewrites)
    if options.checkpoint is None:
        return stack
    served = served_checkpoint(options.checkpoint, options.model, options.folder / "checkpoints", console)
    return replace(stack, model=served.model, template=stack.template or served.template)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port, 0 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, 0 or more")
    return int(text)


def _levels(text: str) -> tuple[int, ...]:
    levels = tuple(_count(each) for each in text.split(","))
    if 0 in levels or len(set(levels)) < len(levels):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of different numbers, such as 1,4,16")
    return levels


def _engines(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in ENGINES:
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(ENGINES)}")
    return names


def _signal_engines(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(text.split(",")))
    for name in names:
        if name not in SIGNAL_ENGINES:
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(SIGNAL_ENGINES)}")
    return names


def _positive(text: str) -> int:
    if not (number := _count(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number, 1 or more")
    return number


def _seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def _share(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return number


def _file(text: str) -> Path:
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"{text!r} is not a file")
    return Path(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="iterqr-bench",
        description="Shows and measures query rewriting on a food-delivery marketplace made by code.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    folder = argparse.ArgumentParser(add_help=False)
    folder.add_argument(
        "--folder", type=Path, default=_CHECKOUT / "build", metavar="DIR", help="for reports, logs and state"
    )
    stack = _stack_flags(StackSettings())

    def add(
        name: str, run: Callable[[argparse.Namespace, Console], int], text: str, *parents: argparse.ArgumentParser
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text, parents=[folder, *parents])
        command.set_defaults(command=run)
        return command

    demo = add("demo", _demo, "search the queries without and with rewrites, report, stop everything", stack)
    demo.add_argument("--queries", choices=get_args(QuerySetName), default="heldout", help="(default heldout)")
    demo.add_argument("--limit", type=_count, default=0, metavar="N", help="only the first N queries (default all)")
    up = add("up", _up, "start node and server and leave them running", stack)
    add("down", _down, "stop what `up` left running")
    tune = add("tune", _tune, "measure fusion weights on the tuning queries", _stack_flags(_TUNED_STACK))
    tune.add_argument("--limit", type=_count, default=0, metavar="N", help="only N queries, spread over the set")
    tune.add_argument("--gathered", type=_file, metavar="FILE", help="gathered.json of an earlier run; starts nothing")
    policies = add("policies", _policies, "measure policies and fusions on what `tune` recorded; starts nothing")
    policies.add_argument("--gathered", type=_file, metavar="FILE", help="(default: what `tune` left in the folder)")
    policies.add_argument("--seed", type=_count, default=SEED, metavar="N", help="of the intervals")
    engine = add("engine", _engine, "measure our engine beside other engines, in turns on the same prompts")
    _add_engine_flags(engine)
    engine.add_argument(
        "--backend", choices=tuple(ENGINES_OF), default="onnxruntime", help="of our engine (default onnxruntime)"
    )
    engine.add_argument(
        "--engines", type=_engines, metavar="LIST", help=f"of {', '.join(ENGINES)} (default: those of the backend)"
    )
    engine.add_argument(
        "--vllm-python", type=_file, metavar="FILE", help="Python that has vLLM (default: this one, if it has it)"
    )
    engine.add_argument("--queries", type=_positive, default=32, metavar="N", help="at each concurrency (default 32)")
    engine.add_argument("--rounds", type=_positive, default=3, metavar="N", help="over the same queries (default 3)")
    engine.add_argument(
        "--concurrency", type=_levels, default=(1, 4, 16), metavar="LIST", help="queries at a time (default 1,4,16)"
    )
    engine.add_argument("--uv", type=_file, metavar="FILE", help="the uv that installs the peers (default: found)")
    engine.add_argument(
        "--quick", action="store_true", help=f"{_QUICK_QUERIES} queries, one round, and nothing that must be compiled"
    )
    curve = add("engine-curve", _engine_curve, "measure our engine by concurrency, 1 to 32, and by prompt length")
    _add_engine_flags(curve)
    curve.add_argument("--queries", type=_positive, default=24, metavar="N", help="at each concurrency (default 24)")
    exactness = add("engine-exactness", _engine_exactness, "compare our engine's texts with and without drafts")
    _add_engine_flags(exactness)
    exactness.add_argument("--queries", type=_positive, default=200, metavar="N", help="tuning queries (default 200)")
    rpc = add("rpc", _rpc, "load the server over gRPC: find its capacity, then offer a multiple of it")
    _add_rpc_flags(rpc)
    search = add("search", _search, "load a node with the plugin: what each way of rewriting adds to plain searches")
    _add_search_flags(search)
    soak = add("soak", _soak, "mixed load through the plugin for a long time: does anything grow or get lost?")
    soak.add_argument("--minutes", type=_seconds, default=30.0, metavar="M", help="(default 30)")
    soak.add_argument("--searchers", type=_positive, default=4, metavar="N", help="at the same time (default 4)")
    soak.add_argument("--model", default=MODEL, help=f"of the server (default {MODEL})")
    signals = add("signals", _signals, "attribute generated signals of several sizes on DuckDB and Spark, and compare")
    _add_signal_flags(signals)
    sim_stack = _stack_flags(_SIM_STACK)
    learning_stack = _stack_flags(STACK)
    sim = add("sim", _sim, "simulate a marketplace and learn from its users; goes on if stopped", sim_stack)
    add_sim_flags(sim)
    for command in (demo, up, sim):
        _add_served_flags(command)
    add_bench_loop_flags(
        add("loop", _loop, "learn from a simulated marketplace's users; goes on if stopped", learning_stack)
    )
    add_bench_ablation_flags(
        add("ablation", _ablation, "train without one part at a time, and measure what each is worth", learning_stack)
    )
    add_truth_flags(
        add("truth", _truth, "write held-out queries of a simulated world, with the dishes that satisfy them")
    )
    record = add("record-prompts", _record_prompts, "write down queries and hints for the comparison of engines", stack)
    record.add_argument("--output", type=Path, default=PACKAGED_PROMPTS, metavar="FILE", help="(default: the packaged)")
    return parser


def _add_served_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--checkpoint",
        type=Path,
        metavar="DIR",
        help="serve this one: a checkpoint's folder, or an adapter's, which is exported first (default: the model)",
    )
    most = ChannelSettings().max_rewrites
    parser.add_argument(
        "--max-rewrites",
        type=int,
        choices=range(1, 9),
        default=most,
        metavar="N",
        help=f"of a search, 1 to 8 (default {most})",
    )
    parser.add_argument(
        "--min-rewrites",
        type=int,
        choices=range(1, 9),
        default=1,
        metavar="N",
        help="that the model must write, no more than those (default 1)",
    )


def _add_engine_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default=MODEL, help=f"name or GGUF file (default {MODEL})")
    parser.add_argument("--threads", type=_count, default=0, metavar="N", help="of each engine (default: all cores)")
    parser.add_argument("--config", type=_file, metavar="FILE", help="configuration of iterqr-server for our engine")


def _add_rpc_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--endpoint", default="", metavar="HOST:PORT", help="a running server (default: starts one)")
    parser.add_argument("--model", default=MODEL, help=f"of a server it starts (default {MODEL})")
    parser.add_argument("--capacity-s", type=_seconds, default=30.0, metavar="S", help="closed loop (default 30)")
    parser.add_argument("--duration-s", type=_seconds, default=120.0, metavar="S", help="open loop (default 120)")
    parser.add_argument("--users", type=_positive, default=16, metavar="N", help="of the closed loop (default 16)")
    parser.add_argument(
        "--load", type=_seconds, default=2.0, metavar="X", help="arrivals as a multiple of the capacity (default 2)"
    )
    parser.add_argument(
        "--cached-share", type=_share, default=0.3, metavar="X", help="calls of queries asked before (default 0.3)"
    )
    parser.add_argument("--deadline-ms", type=_positive, default=3_000, metavar="MS", help="of calls (default 3000)")
    parser.add_argument(
        "--late-allowance-ms",
        type=_seconds,
        default=200.0,
        metavar="MS",
        help="a call that ends later than this after its deadline is counted as late (default 200, about a step)",
    )
    parser.add_argument("--quick", action="store_true", help="a minute in all")


def _add_search_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--endpoint", default="", metavar="HOST:PORT", help="a running server (default: starts one)")
    parser.add_argument("--model", default=MODEL, help=f"of a server it starts (default {MODEL})")
    parser.add_argument("--queries", type=_positive, default=24, metavar="N", help="different ones (default 24)")
    parser.add_argument("--rounds", type=_positive, default=5, metavar="N", help="over all ways (default 5)")
    parser.add_argument(
        "--duration-s", type=_seconds, default=1.5, metavar="S", help="of each measurement (default 1.5)"
    )
    parser.add_argument("--warm-up-s", type=_seconds, default=8.0, metavar="S", help="of each way (default 8)")
    parser.add_argument("--users", type=_positive, default=8, metavar="N", help="at saturation (default 8)")
    parser.add_argument("--quick", action="store_true", help="one short round, under three minutes in all")


def _add_signal_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--impressions",
        type=_levels,
        default=(100_000, 1_000_000, 10_000_000),
        metavar="LIST",
        help="sizes (default 100000,1000000,10000000)",
    )
    parser.add_argument(
        "--engines",
        type=_signal_engines,
        default=SIGNAL_ENGINES,
        metavar="LIST",
        help=f"of {', '.join(SIGNAL_ENGINES)}",
    )
    parser.add_argument("--memory-gb", type=_positive, default=6, metavar="GB", help="of each engine (default 6)")
    parser.add_argument("--seed", type=_count, default=SEED, metavar="N", help=f"of the signals (default {SEED})")
    parser.add_argument("--timeout-s", type=_seconds, default=7_200.0, metavar="S", help="of each run (default 7200)")
    parser.add_argument("--quick", action="store_true", help="20,000 and 100,000 impressions")


def _stack_flags(default: StackSettings) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False)
    channel = default.channel
    parser.add_argument("--opensearch-version", default=DEFAULT_VERSION, metavar="V", help=f"default {DEFAULT_VERSION}")
    parser.add_argument("--model", default=MODEL, help=f"name, local folder or hub id (default {MODEL})")
    parser.add_argument("--template", type=_file, metavar="FILE", help="prompt template (default: food delivery)")
    parser.add_argument("--seed", type=_count, default=SEED, metavar="N", help=f"of the world (default {SEED})")
    parser.add_argument("--http-port", type=_port, default=0, metavar="PORT", help="OpenSearch's (default: a free one)")
    parser.add_argument("--grpc-port", type=_port, default=0, metavar="PORT", help="the server's (default: a free one)")
    parser.add_argument(
        "--budget-ms",
        type=_count,
        default=channel.budget_ms,
        metavar="MS",
        help=f"for rewriting (default {channel.budget_ms})",
    )
    parser.add_argument(
        "--hints-budget-ms",
        type=_count,
        default=default.hints_budget_ms,
        metavar="MS",
        help=f"of it for reading hints; then without (default {default.hints_budget_ms})",
    )
    for name, value, meaning in (
        ("--original-weight", channel.original_weight, "of the original's window"),
        ("--rewrite-weight", channel.rewrite_weight, "of each rewrite's window"),
    ):
        parser.add_argument(name, type=float, default=value, metavar="W", help=f"{meaning} (default {value:g})")
    parser.add_argument(
        "--rank-constant", type=_count, default=channel.rank_constant, help=f"(default {channel.rank_constant})"
    )
    return parser

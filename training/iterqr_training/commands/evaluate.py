"""`iterqr-train evaluate`: how good rewrites are, side by side for all systems."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import grpc
from iterqr_proto.policy import Policy, default_policy, read_policy
from iterqr_server.models.progress import quiet_unless
from opensearchpy import OpenSearch
from rich.console import Console

from iterqr_training.commands.step_progress import StepProgress
from iterqr_training.errors import SettingError, StoreError
from iterqr_training.evaluate.answers import read_answers
from iterqr_training.evaluate.embedder import Embedder, RememberingEmbedder
from iterqr_training.evaluate.fusion import FusionRule
from iterqr_training.evaluate.general_ability import read_general_ability
from iterqr_training.evaluate.judge import ServerJudge
from iterqr_training.evaluate.keyword_rewriter import KeywordRewriter
from iterqr_training.evaluate.minilm import MiniLm, find_minilm
from iterqr_training.evaluate.past_queries import PastQueries, read_past_queries
from iterqr_training.evaluate.policy_fit import MAX_HARM_RATE
from iterqr_training.evaluate.report_console import report_console
from iterqr_training.evaluate.report_files import write_report
from iterqr_training.evaluate.rewriter import NoRewriter, Rewriter
from iterqr_training.evaluate.run import EvaluationRun, TruthSet, evaluate
from iterqr_training.evaluate.semantic_rewriter import SemanticRewriter
from iterqr_training.evaluate.server_rewriter import DEADLINE_S, MAX_REWRITES, ServerRewriter
from iterqr_training.evaluate.truth import read_truth
from iterqr_training.evaluate.windows import NodeIndex, read_body
from iterqr_training.experiments.bootstrap import RESAMPLES
from iterqr_training.signals.marts import read_marts

_HELP = "measure rewrites on held-out queries, side by side for several systems, with intervals"
_EXAMPLES = """\
examples:
  iterqr-train evaluate --truth heldout.jsonl --server untuned=127.0.0.1:50051 --out build/evaluation
  iterqr-train evaluate --truth heldout.jsonl --validation validation.jsonl --marts build/marts \\
      --server untuned=127.0.0.1:50051 --server candidate=127.0.0.1:50052 --judge 127.0.0.1:50051 \\
      --url http://127.0.0.1:9200 --index dishes --search search.json --out build/evaluation
  iterqr-train evaluate ... --previous iteration-1/heldout/answers-candidate.jsonl --general candidate=general.json

A truth set has a JSON object a line: query, region, band (head, torso, tail), and relevant (ids of all objects that
satisfy the query) or judged ([{"text": ..., "good": true}]). search.json is the application's search, with "{{query}}"
and "{{region}}" as values. Writes evaluation.json, evaluation.html and policy-<system>.json; raw outputs are kept in
heldout and validation, and a run that stopped goes on with them.
"""
_TIMEOUT_S = 60
_REWRITE_WEIGHT, _RANK_CONSTANT = 0.3, 5  # the pipeline's defaults
_NON_TERMINAL_WIDTH = 200
_CHANNEL_OPTIONS = [("grpc.enable_http_proxy", 0)]


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """See `Command`."""
    parser = subparsers.add_parser(
        "evaluate",
        help=_HELP,
        description=_HELP,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=run)
    parser.add_argument(
        "--truth", type=Path, required=True, metavar="FILE", help="truth set that measures are taken on"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="for raw outputs and the report")
    parser.add_argument("--validation", type=Path, metavar="FILE", help="truth set that policies are fitted to")
    parser.add_argument(
        "--server", type=_named, action="append", default=[], metavar="NAME=HOST:PORT", help="a rewrite server"
    )
    parser.add_argument("--marts", type=Path, metavar="FOLDER", help="adds the baselines keyword and semantic")
    parser.add_argument("--vocabulary", type=Path, metavar="FILE", help="texts that are spelt rightly, one a line")
    parser.add_argument("--embedder", metavar="FOLDER", help="all-MiniLM-L6-v2 (default: downloaded); none: without")
    parser.add_argument("--judge", metavar="HOST:PORT", help="a rewrite server with the frozen base model")
    parser.add_argument("--url", help="of an OpenSearch node: results are measured")
    parser.add_argument("--index", metavar="NAME", help="to search")
    parser.add_argument("--search", type=Path, metavar="FILE", help="the application's search")
    parser.add_argument("--previous", type=Path, metavar="FILE", help="answers of the iteration before, for novelty")
    parser.add_argument(
        "--general", type=_named, action="append", default=[], metavar="NAME=FILE", help="a system's general.json"
    )
    parser.add_argument("--rewrite-weight", type=float, default=_REWRITE_WEIGHT, metavar="W", help="(default 0.3)")
    parser.add_argument("--rank-constant", type=int, default=_RANK_CONSTANT, metavar="N", help="(default 5)")
    parser.add_argument(
        "--policy", type=Path, metavar="FILE", help="policy where none that is fitted is better (default: the plugin's)"
    )
    parser.add_argument("--max-rewrites", type=int, default=MAX_REWRITES, metavar="N", help="of a server (default 8)")
    parser.add_argument(
        "--at-a-time", type=int, default=1, metavar="N", help="queries that a server is asked at once (default 1)"
    )
    parser.add_argument(
        "--timed",
        type=int,
        metavar="N",
        help="held-out queries that are asked alone nevertheless, for latency (default all)",
    )
    parser.add_argument(
        "--earlier",
        type=_named,
        action="append",
        default=[],
        metavar="NAME=FILE",
        help="a system's answers of an evaluation before: taken over if it answers the timed queries alike",
    )
    parser.add_argument("--deadline-s", type=float, default=DEADLINE_S, metavar="S", help="of an answer (default 60)")
    parser.add_argument(
        "--max-harm-rate",
        type=float,
        default=MAX_HARM_RATE,
        metavar="X",
        help=f"that a fitted policy may do to validation queries (default {MAX_HARM_RATE:g})",
    )
    parser.add_argument("--seed", type=int, default=7, metavar="N", help="of everything random (default 7)")
    parser.add_argument("--resamples", type=int, default=RESAMPLES, metavar="N", help=f"(default {RESAMPLES})")


def run(options: argparse.Namespace, console: Console) -> int:
    """See `Command`."""
    _check(options)
    heldout = TruthSet(options.truth.name, read_truth(options.truth))
    validation = None
    if options.validation is not None:
        validation = TruthSet(options.validation.name, read_truth(options.validation))
        _require_apart(heldout, validation)
    general = {name: read_general_ability(Path(file)) for name, file in options.general}
    earlier = {name: read_answers(Path(file)) for name, file in options.earlier}
    previous = None if options.previous is None else read_answers(options.previous)
    policy = default_policy() if options.policy is None else _policy(options.policy)
    with ExitStack() as opened, StepProgress(console) as progress:
        embedder = _embedder(options, console)
        systems = list(_systems(options, embedder, opened))
        index = None
        if options.url is not None:
            client = opened.enter_context(OpenSearch(options.url, timeout=_TIMEOUT_S))
            index = NodeIndex(client, options.index, read_body(options.search))
        judge = None if options.judge is None else ServerJudge(_channel(options.judge, opened))
        report = evaluate(
            EvaluationRun(
                heldout=heldout,
                validation=validation,
                systems=systems,
                folder=options.out,
                index=index,
                embedder=embedder,
                judge=judge,
                previous=previous,
                rule=FusionRule(policy, rewrite_weight=options.rewrite_weight, rank_constant=options.rank_constant),
                general=general,
                max_harm_rate=options.max_harm_rate,
                timed=options.timed,
                earlier=earlier,
                seed=options.seed,
                resamples=options.resamples,
            ),
            progress,
        )
    page = write_report(report, options.out)
    if not console.is_terminal:
        console = Console(file=console.file, width=_NON_TERMINAL_WIDTH)
    console.print(report_console(report), highlight=False)
    console.print(str(page), highlight=False, markup=False, soft_wrap=True)
    return 0


def _check(options: argparse.Namespace) -> None:
    if (options.url is None) != (options.index is None) or (options.url is None) != (options.search is None):
        raise SettingError("--url, --index and --search must be given together")
    names = [name for name, _ in options.server]
    for name in names:
        if name in ("none", "keyword", "semantic") or names.count(name) > 1:
            raise SettingError(f"--server: the name {name!r} is taken")
    for flag in ("general", "earlier"):
        if missing := sorted({name for name, _ in getattr(options, flag)} - set(names)):
            raise SettingError(f"--{flag}: {missing[0]!r} is no --server")
    if options.timed is not None and options.timed < 0:
        raise SettingError("--timed: must not be negative")
    for name, low, high in (
        ("rewrite_weight", 0.0, 10.0),
        ("rank_constant", 1, 1000),
        ("max_rewrites", 1, 8),
        ("at_a_time", 1, 64),
        ("deadline_s", 0.01, 3600.0),
        ("max_harm_rate", 0.0, 1.0),
        ("resamples", 100, 1_000_000),
    ):
        if not low <= getattr(options, name) <= high:
            raise SettingError(f"--{name.replace('_', '-')}: must be from {low:g} to {high:g}")


def _policy(file: Path) -> Policy:
    try:
        return read_policy(json.loads(file.read_text("utf-8")))
    except (OSError, ValueError) as error:
        raise StoreError(f"--policy {file}: {error}") from error


def _require_apart(heldout: TruthSet, validation: TruthSet) -> None:
    """What policies are fitted to must not be measured on."""
    both = {each.key for each in heldout.queries} & {each.key for each in validation.queries}
    if both:
        region, query = min(both)
        raise SettingError(
            f"--validation: {query!r} (region {region!r}) is in --truth, too, as are {len(both) - 1} more"
        )


def _embedder(options: argparse.Namespace, console: Console) -> Embedder | None:
    if options.embedder == "none":
        return None
    if options.embedder is not None:
        return RememberingEmbedder(MiniLm(Path(options.embedder)))
    with quiet_unless(console.is_terminal) as listener:
        return RememberingEmbedder(find_minilm(listener))


def _systems(options: argparse.Namespace, embedder: Embedder | None, opened: ExitStack) -> Iterator[Rewriter]:
    yield NoRewriter()
    if options.marts is not None:
        past: PastQueries = read_past_queries(read_marts(options.marts))
        yield KeywordRewriter(past, _vocabulary(options.vocabulary))
        if embedder is not None:
            yield SemanticRewriter(past, embedder)
    for name, address in options.server:
        yield ServerRewriter(
            name,
            _channel(address, opened),
            max_rewrites=options.max_rewrites,
            deadline_s=options.deadline_s,
            at_a_time=options.at_a_time,
        )


def _vocabulary(file: Path | None) -> Sequence[str]:
    try:
        return [] if file is None else file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"{file} cannot be read: {error}") from error


def _channel(address: str, opened: ExitStack) -> grpc.Channel:
    return opened.enter_context(grpc.insecure_channel(address, options=_CHANNEL_OPTIONS))


def _named(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"{text!r} is not like NAME=VALUE")
    return name, value

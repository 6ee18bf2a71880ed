"""`iterqr-train label`: from marts to labels of rewrites and items."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path

from opensearchpy import OpenSearch
from rich.console import Console

from iterqr_training.commands.step_progress import StepProgress
from iterqr_training.errors import SettingError
from iterqr_training.files import write_text
from iterqr_training.labels.agreement import failed
from iterqr_training.labels.base_server import BaseServer, BaseSettings
from iterqr_training.labels.chains import ChainJournal, read_chains
from iterqr_training.labels.inputs import open_tables, read_titles
from iterqr_training.labels.judging import Judge
from iterqr_training.labels.label_folder import write_label_folder
from iterqr_training.labels.label_report import label_console, label_json
from iterqr_training.labels.label_signals import Sources, StartStep, label_signals
from iterqr_training.labels.reference import references_of
from iterqr_training.labels.settings import LabelSettings
from iterqr_training.labels.verdict_cache import VerdictCache
from iterqr_training.signals.engines import DEFAULT_ENGINE, Engine, open_engine
from iterqr_training.signals.hints_index import HintsTarget, catalog_titles
from iterqr_training.signals.marts import Marts, read_marts
from iterqr_training.signals.raw_files import RawFiles
from iterqr_training.signals.signal_folder import raw_files_of
from iterqr_training.signals.tables import HITS

_HELP = "label rewrites and items by clicks, reformulations, people and a judge, and say how well they agree"
_NON_TERMINAL_WIDTH = 160
_EXAMPLES = """\
examples:
  iterqr-train label --signals build/signals --marts build/marts --out build/labels
  iterqr-train label --signals build/signals --marts build/marts --out build/labels --human judged.csv \\
      --judge chat --judge-model gpt-4o --prompt-price 2.5 --completion-price 10
  iterqr-train label --signals build/signals --marts build/marts --out build/labels --human judged.jsonl \\
      --judge chat --judge-model qwen2.5-72b --judge-url http://127.0.0.1:8000/v1
  iterqr-train label --signals build/signals --marts build/marts --out build/labels --titles dishes.parquet \\
      --judge base --server 127.0.0.1:50051 --base-checkpoint qwen2.5-coder-0.5b-1d9614638d18-int4-int4-l3
  iterqr-train label --signals build/signals --marts build/marts --out build/labels --iteration 2 \\
      --truth build/sim/judgments/rewrite_relevance.jsonl        compared with, never learned from

Writes labels.jsonl, chains.jsonl (the reasoning before good rewrites) and labels.json, which says how well labels agree
with people or truth. A judge below --min-kappa is not used. The key of its API is in OPENAI_API_KEY (--judge-key-env).
Files of labels, people's too, are JSON lines or CSV: task, query, subject, label (yes or no); optional: kind, region,
weight, source, observed_at, band, clients. Exit status 1: labels fail the check label_agreement, `dataset` refuses
them.
"""
_DEFAULTS = LabelSettings()
_MEANINGS = {
    "min_clients": "different clients behind a query at least",
    "level2_weight": "of Level-2 clicks and hits beside those of Level 1",
    "order_weight": "of an order beside its click",
    "prior_examined": "examined hits of mean click rate that all start with",
    "positive_lift": "click rate over the mean, from which on something may be good",
    "positive_coverage": "share of what was clicked, from which on a rewrite may be good",
    "negative_lift": "click rate over the mean, up to which something is bad",
    "negative_coverage": "share of what was clicked, up to which a rewrite is bad",
    "min_examined": "hits looked at, in expectation, before a click rate makes bad",
    "min_pages": "pages after which a rewrite is unusable if no hit of it was shown",
    "unshown_weight": "of that label",
    "judge_weight": "of a certain judge's label beside a click's",
    "min_kappa": "agreement from which on a judge is used",
    "min_label_kappa": "agreement below which labels fail",
    "min_reference": "pairs to judge agreement by",
    "max_judged": "pairs that a judge is asked about",
    "max_items_a_query": "items labelled for a query",
    "reformulations": "label what users searched for next",
    "reformulation_gap_s": "seconds from a search to the next, at most",
    "min_reformulation_clients": "different clients who went from one to the other",
    "reformulation_weight": "of a certain such label beside a click's",
    "corrections": "take a query's usual spelling for a good rewrite and for the fix of its chain of thought",
    "correction_ratio": "times as often that a usual spelling is searched for",
    "seed": "of the intervals",
}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """See `Command`."""
    parser = subparsers.add_parser(
        "label", help=_HELP, description=_HELP, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.set_defaults(command=run)
    parser.add_argument("--signals", type=Path, required=True, metavar="FOLDER", help="collected signals")
    parser.add_argument("--marts", type=Path, required=True, metavar="FOLDER", help="what `attribute` made of them")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="for the labels")
    parser.add_argument("--iteration", type=int, default=0, metavar="N", help="of the loop (default 0)")
    parser.add_argument("--engine", default=DEFAULT_ENGINE, metavar="URL", help=f"(default {DEFAULT_ENGINE})")
    parser.add_argument("--human", type=Path, action="append", default=[], metavar="FILE", help="people's labels")
    parser.add_argument("--truth", type=Path, metavar="FILE", help="a simulator's, to compare with")
    parser.add_argument(
        "--upper-bound-learn-truth", action="store_true", help="experiment: learn from --truth, and say so everywhere"
    )
    _add_item_flags(parser)
    _add_judge_flags(parser)
    rules = parser.add_argument_group("rules")
    for each in fields(LabelSettings):
        default = getattr(_DEFAULTS, each.name)
        if isinstance(default, bool):
            rules.add_argument(
                _flag(each.name),
                action=argparse.BooleanOptionalAction,
                default=default,
                help=f"{_MEANINGS[each.name]} (default {'yes' if default else 'no'})",
            )
            continue
        rules.add_argument(
            _flag(each.name),
            type=type(default),
            default=default,
            metavar="N" if isinstance(default, int) else "X",
            help=f"{_MEANINGS[each.name]} (default {default:,})",
        )


def _add_item_flags(parser: argparse.ArgumentParser) -> None:
    items = parser.add_argument_group("items' titles; without any, items are not labelled")
    items.add_argument("--titles", type=Path, metavar="FILE", help="object_id and title: Parquet, CSV or JSON lines")
    items.add_argument("--catalog-url", metavar="URL", help="of OpenSearch, which has the catalog")
    defaults = HintsTarget()
    for flag, default in (
        ("--catalog", defaults.catalog),
        ("--id-field", defaults.id_field),
        ("--title-field", defaults.title_field),
    ):
        items.add_argument(flag, default=default, metavar="NAME", help=f"as of `hints` (default {default})")


def _add_judge_flags(parser: argparse.ArgumentParser) -> None:
    judge = parser.add_argument_group("judge, and chains of thought")
    judge.add_argument("--judge", choices=("none", "chat", "base"), default="none", help="who judges (default none)")
    judge.add_argument("--server", default="", metavar="HOST:PORT", help="rewrite server that serves the base model")
    judge.add_argument("--base-checkpoint", default="", metavar="ID", help="of it; any other checkpoint is refused")
    judge.add_argument("--chains", type=Path, metavar="FILE", help="known chains of thought, as chains.jsonl")
    judge.add_argument("--judge-model", default="", metavar="NAME", help="of the chat endpoint")
    judge.add_argument("--judge-url", default="", metavar="URL", help="of its API (default OpenAI's)")
    judge.add_argument("--judge-key-env", default="OPENAI_API_KEY", metavar="NAME", help="variable with the API's key")
    judge.add_argument("--judge-cache", type=Path, metavar="FOLDER", help="of its answers (default OUT/.judge-cache)")
    judge.add_argument("--pairs-a-request", type=int, default=10, metavar="N", help="(default 10)")
    judge.add_argument("--concurrency", type=int, default=4, metavar="N", help="requests at once (default 4)")
    judge.add_argument("--judge-retries", type=int, default=5, metavar="N", help="of a refused request (default 5)")
    judge.add_argument("--judge-timeout-s", type=float, default=60.0, metavar="X", help="of a request (default 60)")
    judge.add_argument("--no-json-mode", action="store_true", help="the endpoint does not know response_format")
    judge.add_argument("--prompt-price", type=float, metavar="X", help="of a million prompt tokens")
    judge.add_argument("--completion-price", type=float, metavar="X", help="of a million others")


def run(options: argparse.Namespace, console: Console) -> int:
    """See `Command`."""
    settings = LabelSettings(**{each.name: getattr(options, each.name) for each in fields(LabelSettings)})
    if not 0 <= options.iteration < 2**31:
        raise SettingError(f"iteration is {options.iteration}, and must be 0 or more")
    signals, marts = raw_files_of(options.signals), read_marts(options.marts)
    references = references_of(options.human, options.truth)
    with (
        contextlib.ExitStack() as open_things,
        open_engine(options.engine) as engine,
        StepProgress(console) as progress,
    ):
        journal = ChainJournal(options.out / ".chains-journal.jsonl")
        cache = VerdictCache(options.judge_cache or options.out / ".judge-cache")
        base = _base(options, cache, open_things)
        sources = Sources(
            titles=_titles(options, engine, signals, progress.start),
            references=tuple(references),
            judge=_judge(options, base, cache, open_things),
            base=base,
            journal=journal,
            chains=read_chains(options.chains) if options.chains else {},
            learns_truth=options.upper_bound_learn_truth,
        )
        labelled = label_signals(engine, open_tables(engine, signals, marts), sources, settings, progress.start)
    about = label_json(labelled, options.iteration, settings, _inputs(options, marts))
    write_label_folder(options.out, labelled.merged.labels, labelled.chains.found, about)
    journal.remove()
    if labelled.judge:
        write_text(options.out / "judge_usage.json", json.dumps(asdict(labelled.judging.usage), indent=2) + "\n")
    if not console.is_terminal:
        console = Console(file=console.file, width=_NON_TERMINAL_WIDTH)
    console.print(label_console(labelled), highlight=False)
    return 1 if failed(labelled.checks) else 0


def _base(options: argparse.Namespace, cache: VerdictCache, open_things: contextlib.ExitStack) -> BaseServer | None:
    if not options.server:
        if options.judge == "base":
            raise SettingError("judge base needs --server and --base-checkpoint")
        return None
    return open_things.enter_context(BaseServer(BaseSettings(options.server, options.base_checkpoint), cache))


def _judge(
    options: argparse.Namespace, base: BaseServer | None, cache: VerdictCache, open_things: contextlib.ExitStack
) -> Judge | None:
    if options.judge != "chat":
        return base if options.judge == "base" else None
    from iterqr_training.labels.chat_judge import ChatJudge, ChatSettings  # noqa: PLC0415 - half a second to import

    settings = ChatSettings(
        model=options.judge_model,
        url=options.judge_url,
        key=os.environ.get(options.judge_key_env, ""),
        pairs_a_request=options.pairs_a_request,
        concurrency=options.concurrency,
        timeout_s=options.judge_timeout_s,
        max_retries=options.judge_retries,
        json_mode=not options.no_json_mode,
        prompt_price=options.prompt_price,
        completion_price=options.completion_price,
    )
    return open_things.enter_context(ChatJudge(settings, cache))


def _titles(options: argparse.Namespace, engine: Engine, signals: RawFiles, start: StartStep) -> Mapping[str, str]:
    if options.titles:
        return read_titles(options.titles)
    if not options.catalog_url:
        return {}
    objects = engine.collect(engine.read(HITS, signals.of(HITS)).select("object_id").distinct())
    wanted = sorted(objects["object_id"].to_pylist())
    start(f"titles of {len(wanted):,} objects", None)
    target = HintsTarget(catalog=options.catalog, id_field=options.id_field, title_field=options.title_field)
    with OpenSearch(options.catalog_url, timeout=60) as client:
        return catalog_titles(client, wanted, target)


def _inputs(options: argparse.Namespace, marts: Marts) -> Mapping[str, object]:
    """What the labels were made of; names of files only, so that a moved folder gives the same labels."""
    return {
        "marts_generation": marts.generation,
        "marts_rows": marts.about.get("rows"),
        "human": [file.name for file in options.human],
        "truth": options.truth.name if options.truth else None,
        "judge": options.judge,
        "base_checkpoint": options.base_checkpoint,
    }


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"

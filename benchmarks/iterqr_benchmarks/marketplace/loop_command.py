"""`iterqr-bench loop`: the loop on the simulated marketplace."""

from __future__ import annotations

import argparse
from dataclasses import replace

from iterqr_training.commands.loop import add_loop_flags, learn, loop_settings
from iterqr_training.errors import TrainingError
from rich.console import Console

from iterqr_benchmarks.errors import MarketplaceError
from iterqr_benchmarks.marketplace.learning import learning_stack
from iterqr_benchmarks.marketplace.loop_traffic import (
    CANARY_SEARCHES,
    HELDOUT,
    USERS,
    VALIDATION,
    LoopTraffic,
    SimulatedTraffic,
)
from iterqr_benchmarks.marketplace.settings import TrafficSettings, WorldSettings
from iterqr_benchmarks.stack.settings import StackSettings


def add_bench_loop_flags(parser: argparse.ArgumentParser) -> None:
    """Adds all flags but `--folder` and those of the stack."""
    for name, default, text in (
        ("users", USERS.users, "of each iteration"),
        ("searches", USERS.searches, "needs searched for in each iteration and arm"),
        ("days", USERS.days, "of simulated time in each iteration"),
        ("threads", USERS.threads, "searches at the same time"),
        ("canary-searches", CANARY_SEARCHES, "by which a canary is judged"),
        ("measuring-times", 4, "times the users and needs in the round that measures the last checkpoint"),
    ):
        _add_number(parser, name, default, text)
    add_world_flags(parser)
    add_loop_flags(parser)


def add_world_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags of the loop's world, and of what is measured in it."""
    for name, default, text in (
        ("merchants", 200, "of the world"),
        ("dishes", 4_000, "of the world"),
        ("regions", 4, "of the world"),
        *((f"heldout-{band}", count, "queries that all measures are taken on") for band, count in HELDOUT.items()),
        *((f"validation-{band}", count, "queries that policies are fitted to") for band, count in VALIDATION.items()),
    ):
        _add_number(parser, name, default, text)


def run_bench_loop(options: argparse.Namespace, stack: StackSettings, console: Console) -> int:
    """Runs the loop, or goes on with it.

    Raises:
        MarketplaceError: A stage could not be done; what was done is kept.
    """
    users = TrafficSettings(
        users=options.users, searches=options.searches, days=options.days, seed=stack.seed, threads=options.threads
    )
    traffic = loop_traffic(options, users, stack, options.canary_searches)
    traffic = replace(traffic, times={options.iterations + 1: options.measuring_times})
    folder = options.folder / "loop"
    try:
        source = SimulatedTraffic(folder / "traffic", traffic, console)
        return learn(loop_settings(options, folder, source.flags), source, console)
    except TrainingError as error:
        raise MarketplaceError(str(error)) from error


def loop_traffic(
    options: argparse.Namespace, users: TrafficSettings, stack: StackSettings, canary_searches: int
) -> LoopTraffic:
    """Returns the traffic in the world of `add_world_flags`.

    Raises:
        MarketplaceError: A number is out of its limits.
    """
    stack = learning_stack(stack)
    return LoopTraffic(
        WorldSettings(options.merchants, options.dishes, options.regions, stack.seed),
        users,
        stack,
        canary_searches,
        {band: getattr(options, f"heldout_{band}") for band in HELDOUT},
        {band: getattr(options, f"validation_{band}") for band in VALIDATION},
    )


def _add_number(parser: argparse.ArgumentParser, name: str, default: int, text: str) -> None:
    parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{text} (default {default:,})")

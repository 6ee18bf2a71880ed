"""The command line of `iterqr-bench sim`."""

from __future__ import annotations

import argparse
from dataclasses import fields

from iterqr_benchmarks.marketplace.run import SimOptions
from iterqr_benchmarks.marketplace.settings import ARMS, AdversitySettings, TrafficSettings, WorldSettings
from iterqr_benchmarks.stack.settings import StackSettings

_ADVERSITY_HELP = {
    "bots": "share of the sessions that are bots'",
    "missing_client_ids": "share of the sessions that tell no client id",
    "missing_query_ids": "share of the events that tell no query id",
    "duplicates": "share of the events that arrive twice",
    "late": "share of the events that arrive hours late",
    "out_of_order": "share of the events that arrive minutes late",
    "clock_skew": "share of the clients whose clocks are wrong",
}


def add_sim_flags(parser: argparse.ArgumentParser) -> None:
    """Adds all flags but `--folder` and those of the stack. Limits are checked by the settings themselves."""
    world, traffic = WorldSettings(), TrafficSettings()
    for name, default, text in (
        ("users", traffic.users, ""),
        ("searches", traffic.searches, "needs searched for; reformulations come on top "),
        ("days", traffic.days, "of simulated time "),
        ("threads", traffic.threads, "searches at the same time "),
        ("merchants", world.merchants, ""),
        ("dishes", world.dishes, ""),
        ("regions", world.regions, ""),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"{text}(default {default:,})")
    parser.add_argument("--traffic-seed", type=int, metavar="N", help="of the users (default: --seed)")
    parser.add_argument(
        "--arm",
        choices=ARMS,
        default="split",
        help="without rewrites, with, interleaved, or split by client (default split)",
    )
    parser.add_argument("--treatment-percent", type=int, default=50, metavar="P", help="of the clients (default 50)")
    parser.add_argument(
        "--paired", action="store_true", help="then replay control and treatment with the same users: paired intervals"
    )
    parser.add_argument("--fresh", action="store_true", help="delete what earlier runs left in the folder")
    for each in fields(AdversitySettings):
        flag = f"--{each.name.replace('_', '-')}"
        parser.add_argument(
            flag, type=float, default=0.0, metavar="X", help=f"{_ADVERSITY_HELP[each.name]} (default 0)"
        )


def sim_options(options: argparse.Namespace, stack: StackSettings) -> SimOptions:
    """Returns what the flags say.

    Raises:
        MarketplaceError: A number is out of its limits.
    """
    return SimOptions(
        folder=options.folder / "sim",
        world=WorldSettings(options.merchants, options.dishes, options.regions, stack.seed),
        traffic=TrafficSettings(
            users=options.users,
            searches=options.searches,
            days=options.days,
            seed=stack.seed if options.traffic_seed is None else options.traffic_seed,
            threads=options.threads,
            arm=options.arm,
            treatment_percent=options.treatment_percent,
            adversity=AdversitySettings(
                **{each.name: getattr(options, each.name) for each in fields(AdversitySettings)}
            ),
        ),
        stack=stack,
        fresh=options.fresh,
        paired=options.paired,
    )

"""`iterqr-bench truth`: held-out and validation queries of a simulated world, for `iterqr-train evaluate`."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path

from iterqr_training.dataset.rows import Band
from iterqr_training.errors import TrainingError
from iterqr_training.evaluate.truth import read_truth, write_truth
from rich.console import Console

from iterqr_benchmarks.errors import MarketplaceError
from iterqr_benchmarks.index import search_body
from iterqr_benchmarks.marketplace.market import open_market
from iterqr_benchmarks.marketplace.settings import WorldSettings
from iterqr_benchmarks.marketplace.truth_sets import draw_truth
from iterqr_benchmarks.marketplace.world import world_dishes
from iterqr_benchmarks.report.json_file import write_whole

DEFAULT_COUNTS = {Band.HEAD: 50, Band.TORSO: 50, Band.TAIL: 200}
_PAGE = 10


@dataclass(frozen=True, slots=True)
class TruthOptions:
    """What to write where. `exclude`: truth sets whose queries must not be in this one."""

    output: Path
    world: WorldSettings
    counts: dict[Band, int]
    seed: int
    exclude: tuple[Path, ...]


def add_truth_flags(parser: argparse.ArgumentParser) -> None:
    """Adds all flags but `--folder`."""
    world = WorldSettings()
    parser.add_argument("--output", type=Path, required=True, metavar="FILE", help="truth set, JSON lines")
    for band, count in DEFAULT_COUNTS.items():
        parser.add_argument(f"--{band}", type=int, default=count, metavar="N", help=f"queries (default {count})")
    parser.add_argument(
        "--exclude", type=Path, action="append", default=[], metavar="FILE", help="truth set with none of these queries"
    )
    parser.add_argument("--truth-seed", type=int, default=1, metavar="N", help="of the draws (default 1)")
    parser.add_argument("--seed", type=int, default=world.seed, metavar="N", help=f"of the world ({world.seed})")
    for name in ("merchants", "dishes", "regions"):
        default = getattr(world, name)
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N", help=f"(default {default:,})")


def truth_options(options: argparse.Namespace) -> TruthOptions:
    """Returns what the flags say.

    Raises:
        MarketplaceError: A number is out of its limits.
    """
    return TruthOptions(
        output=options.output,
        world=WorldSettings(options.merchants, options.dishes, options.regions, options.seed),
        counts={band: getattr(options, band.value) for band in DEFAULT_COUNTS},
        seed=options.truth_seed,
        exclude=tuple(options.exclude),
    )


def run_truth(options: TruthOptions, console: Console) -> None:
    """Writes the truth set, and beside it `search.json`, the plain search, and `titles.txt`, the words of the menus.

    Raises:
        MarketplaceError: The world has too few queries, or a file cannot be read or written.
    """
    try:
        excluded = {query.key for file in options.exclude for query in read_truth(file)}
        queries = draw_truth(open_market(options.world), options.counts, options.seed, excluded)
        write_truth(options.output, queries)
    except TrainingError as error:
        raise MarketplaceError(str(error)) from error
    folder = options.output.parent
    write_whole(folder / "search.json", json.dumps(search_body("{{query}}", "{{region}}", _PAGE), indent=2) + "\n")
    titles = sorted({dish.title for dish in world_dishes(options.world)})
    write_whole(folder / "titles.txt", "\n".join(titles) + "\n")
    relevant = sorted(len(query.relevant) for query in queries)
    console.print(
        f"{options.output}: {len(queries):,} queries; relevant dishes of a query: {relevant[0]} to {relevant[-1]}, "
        f"median {relevant[len(relevant) // 2]}",
        highlight=False,
        soft_wrap=True,
    )

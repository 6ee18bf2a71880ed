"""`iterqr-train train`: post-trains the model on a dataset."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from iterqr_training.commands.task_names import task_list, task_of
from iterqr_training.dataset.rows import Task
from iterqr_training.errors import RunError
from iterqr_training.train.settings import Method, Precision, TrainSettings, Weighting

_HELP = "post-train the model on a dataset: LoRA or all weights, three tasks at once"
_EXAMPLES = """\
examples:
  iterqr-train train --dataset build/dataset --out build/runs/1          LoRA on the default 0.5B model
  iterqr-train train --dataset build/dataset --out build/runs/1          ... again: goes on where it was stopped
  iterqr-train train --dataset build/dataset --out build/runs/2 --tasks generation
  iterqr-train train --dataset build/dataset --out build/runs/3 --weighting dwa --kl-weight 0.1
  iterqr-train train --dataset build/dataset --out build/runs/4 --weighting schedule \\
      --schedule '0:generation=1,quality=1,relevance=1;0.5:generation=1,quality=0.2,relevance=0.2'
  iterqr-train train --dataset build/dataset --out build/runs/5 --base Qwen/Qwen2.5-1.5B-Instruct --precision bf16
  accelerate launch --config_file training/fsdp.yaml -m iterqr_training.main train --dataset build/dataset \\
      --out build/runs/6 --method full --base Qwen/Qwen2.5-7B-Instruct --precision bf16 --gradient-checkpointing

Writes adapter/ (or weights/), run.json, metrics.jsonl and plots, and metrics to MLflow: by default a SQLite file beside
the folder, which `mlflow ui --backend-store-uri sqlite:///build/runs/mlflow.db` shows. Needs the extra `train`.
"""
_NON_TERMINAL_WIDTH = 120
_DEFAULTS = {
    each.name: each.default for each in dataclasses.fields(TrainSettings) if each.default is not dataclasses.MISSING
}
_GROUPS: Mapping[str, tuple[tuple[str, str], ...]] = {
    "length of the run": (
        ("epochs", "passes over the rows"),
        ("max_steps", "at most; 0: as many as the epochs have"),
        ("batch_examples", "examples of a step, over all processes"),
        ("validate_every", "steps between validations; 0: none"),
        ("patience", "validations without improvement that end the run; 0: never"),
        ("min_improvement", "of the validation loss, to count"),
        ("save_every", "steps between states to go on from"),
    ),
    "optimization": (
        ("learning_rate", "highest (default 2e-4 for lora, 1e-5 for full)"),
        ("final_rate", "share of it at the end"),
        ("warmup", "share of the steps in which it rises"),
        ("weight_decay", "of AdamW"),
        ("clip_norm", "of the gradient at most"),
        ("lora_rank", "of the adapter"),
        ("lora_alpha", "scale of the adapter is this over the rank"),
        ("lora_dropout", "of the adapter's inputs"),
        ("seed", "of data order, adapter and dropout"),
    ),
    "tasks": (
        ("kl_weight", "of KL(base || model) against forgetting; lora only"),
        ("replay_share", "share of rows of earlier iterations in an epoch (default: all rows as they are)"),
        ("dwa_temperature", "of dwa; higher: weights more alike"),
        ("dwa_window", "of dwa, in steps"),
        ("uncertainty_rate", "learning rate of uncertainty's log variances"),
    ),
    "rows and memory": (
        ("row_tokens", "of a packed row at most"),
        ("max_example_tokens", "longer examples are left out"),
        ("max_too_long", "share of rows that may be left out so"),
        ("threads", "of PyTorch on the CPU; 0: its own choice"),
    ),
}
_TYPES: Mapping[str, type] = {"learning_rate": float, "replay_share": float}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """See `Command`."""
    parser = subparsers.add_parser(
        "train",
        help=_HELP,
        description=_HELP,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=run)
    parser.add_argument("--dataset", type=Path, required=True, metavar="FOLDER", help="what `dataset` wrote")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="of the run")
    for name, meaning in (
        ("base", "known model, .gguf file, Hugging Face folder or hub id"),
        ("template", "prompt: .toml file, or name of one of the package"),
    ):
        default = _DEFAULTS[name]
        parser.add_argument(f"--{name}", default=default, metavar="NAME", help=f"{meaning} (default {default})")
    for name, choices in (("method", Method), ("precision", Precision), ("weighting", Weighting)):
        parser.add_argument(
            f"--{name}",
            type=choices,
            choices=list(choices),
            default=_DEFAULTS[name],
            help=f"(default {_DEFAULTS[name]})",
        )
    parser.add_argument("--tasks", type=task_list, default=tuple(Task), metavar="LIST", help="(default: all three)")
    parser.add_argument(
        "--task-weights",
        type=_weights,
        metavar="TASK=X,...",
        help="of the losses (default generation=1,quality=0.5,relevance=0.5)",
    )
    parser.add_argument(
        "--schedule", type=_schedule, default=(), metavar="SHARE:TASK=X,...;...", help="of weighting schedule"
    )
    parser.add_argument("--mlflow", default="", metavar="URI", help="tracking server, or off (default: a SQLite file)")
    parser.add_argument("--no-packing", dest="packing", action="store_false", help="every example in a row of its own")
    parser.add_argument("--gradient-checkpointing", action="store_true", help="less memory, more time")
    parser.add_argument("--restart", action="store_true", help="delete what a run left in the folder and begin anew")
    for title, members in _GROUPS.items():
        group = parser.add_argument_group(title)
        for name, meaning in members:
            default = _DEFAULTS[name]
            kind = _TYPES.get(name) or type(default)
            told = meaning if default is None else f"{meaning} (default {default:g})"
            group.add_argument(_flag(name), type=kind, default=default, metavar="X", help=told)


def run(options: argparse.Namespace, console: Console) -> int:
    """See `Command`."""
    settings = settings_of(options)
    try:
        from iterqr_training.train.progress import TrainProgress  # noqa: PLC0415 - the extra may not be installed
        from iterqr_training.train.run import train  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise RunError(
            f"{error.name} is not installed; training needs the extra `train`: pip install 'iterqr-training[train]', "
            "or make .venv/.synced-train"
        ) from error
    with TrainProgress(console) as progress:
        finished = train(settings, progress, restart=options.restart)
    if finished.record["status"] != "finished":  # of another process than the main one
        return 0
    if not console.is_terminal:
        console = Console(file=console.file, width=_NON_TERMINAL_WIDTH)
    if finished.already:
        console.print(f"{finished.folder} was finished before; --restart begins anew", highlight=False)
    console.print(_told(finished.record["result"]), highlight=False)
    if finished.record["result"]["metrics"]["first"]:
        console.print(_table(finished.record["result"]["metrics"]))
    console.print(str(finished.folder), highlight=False, markup=False, soft_wrap=True)
    return 0


def settings_of(options: argparse.Namespace) -> TrainSettings:
    """Returns the settings that the flags give.

    Raises:
        SettingError: One is out of its limits.
    """
    given = {each.name: getattr(options, each.name) for each in dataclasses.fields(TrainSettings)}
    if given["task_weights"] is None:
        del given["task_weights"]
    return TrainSettings(**given)


def _told(result: Mapping[str, Any]) -> str:
    ended = "stopped early" if result["stopped_early"] else "done"
    speed = f" ({result['tokens_per_second']:,.0f} a second)" if result["tokens_per_second"] else ""
    return (
        f"{ended} after {result['steps']} of {result['planned_steps']} steps; best: step {result['best_step']}; "
        f"{result['tokens']:,} tokens in {result['step_seconds']:,.0f} s{speed}, "
        f"peak memory {result['peak_memory_bytes'] / 2**30:.1f} GiB"
    )


def _table(metrics: Mapping[str, Mapping[str, float]]) -> Table:
    table = Table(title="Before the first step, and with the weights that were kept")
    table.add_column("")
    for column in ("before", "kept"):
        table.add_column(column, justify="right")
    for name, before in metrics["first"].items():
        if name.startswith("validation/") and name in metrics["best"]:
            table.add_row(name, f"{before:.4f}", f"{metrics['best'][name]:.4f}")
    return table


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _weights(text: str) -> dict[Task, float]:
    weights = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        try:
            weights[task_of(name)] = float(value)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{part!r} is not like generation=1") from None
    return weights


def _schedule(text: str) -> tuple[tuple[float, dict[Task, float]], ...]:
    points = []
    for part in text.split(";"):
        share, _, weights = part.partition(":")
        try:
            points.append((float(share), _weights(weights)))
        except ValueError:
            raise argparse.ArgumentTypeError(f"{part!r} is not like 0.5:generation=1,quality=1") from None
    return tuple(points)

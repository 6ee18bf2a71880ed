"""`iterqr-train general-ability`: whether a checkpoint still has its language."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console

from iterqr_training.evaluate.causal_lm_scorer import CausalLmScorer
from iterqr_training.evaluate.general_ability import measure_general_ability, write_general_ability

_HELP = "measure a checkpoint's perplexity on fixed general text, for the gate `forgetting`"
_EXAMPLES = """\
examples:
  iterqr-train general-ability --model checkpoints/iteration-1/hf-safetensors --out build/iteration-1/general.json
  iterqr-train general-ability --model build/base --checkpoint-id untuned --out build/base/general.json

The folder is one that transformers loads. Needs the extra `train`. Only checkpoints with the same tokenizer compare.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """See `Command`."""
    parser = subparsers.add_parser(
        "general-ability",
        help=_HELP,
        description=_HELP,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=run)
    parser.add_argument("--model", type=Path, required=True, metavar="FOLDER", help="with config.json and safetensors")
    parser.add_argument("--checkpoint-id", metavar="ID", help="(default: name of the folder)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="to write general.json to")


def run(options: argparse.Namespace, console: Console) -> int:
    """See `Command`."""
    scorer = CausalLmScorer(options.model, options.checkpoint_id or options.model.resolve().name)
    ability = measure_general_ability(scorer)
    write_general_ability(options.out, ability)
    console.print(
        f"{ability.checkpoint_id}: perplexity {ability.perplexity:.3f} on {ability.tokens:,} tokens of general text",
        highlight=False,
        markup=False,
        soft_wrap=True,
    )
    return 0

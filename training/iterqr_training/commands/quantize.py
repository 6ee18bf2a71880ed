"""`iterqr-train quantize`: FP8 or INT4-AWQ weights of a checkpoint, for TensorRT-LLM."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import get_args

from iterqr_proto.manifest import ManifestError, read_manifest
from iterqr_server.models.progress import quiet_unless
from rich.console import Console

from iterqr_training.errors import ExportError, SettingError
from iterqr_training.export.calibration import calibration_texts
from iterqr_training.export.checkpoint_folder import HF, MANIFEST_FILE, TEMPLATE_FILE
from iterqr_training.export.modelopt import Format, quantize
from iterqr_training.export.prompt_template import read_prompt_template

_MAX_SAMPLES = 100_000
_EXAMPLES = """\
examples:
  iterqr-train quantize --checkpoint checkpoints/ID --dataset dataset --format fp8 --out fp8
  iterqr-train quantize --checkpoint checkpoints/ID --dataset dataset --format int4-awq --samples 512 --out awq
  iterqr-train export --adapter runs/it1/adapter --quantized fp8 --out checkpoints    # afterwards

For a host with an NVIDIA GPU and nvidia-modelopt[hf]==0.47.0 in an environment of its own. Activations are measured on
prompts and answers of the dataset, in the checkpoint's own prompt template.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """See `Command`."""
    parser = subparsers.add_parser(
        "quantize",
        help="make FP8 or INT4-AWQ weights of a checkpoint, with ModelOpt on a GPU",
        description="Makes FP8 or INT4-AWQ weights of an exported checkpoint, for TensorRT-LLM.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--checkpoint", required=True, type=Path, metavar="DIR", help="folder that export made")
    parser.add_argument("--dataset", required=True, type=Path, metavar="DIR", help="its training data")
    parser.add_argument("--format", choices=get_args(Format), default="fp8", help="of the weights; %(default)s")
    parser.add_argument("--samples", type=int, default=256, metavar="N", help="examples to calibrate on; %(default)s")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the choice of examples; %(default)s")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="must not exist")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace, console: Console) -> int:
    """See `Command`."""
    if not 1 <= options.samples <= _MAX_SAMPLES:
        raise SettingError(f"--samples is {options.samples}, it must be 1 to {_MAX_SAMPLES:,}")
    try:
        read_manifest(options.checkpoint / MANIFEST_FILE)
    except (OSError, ManifestError) as error:
        raise ExportError(f"--checkpoint {options.checkpoint}: {error}") from error
    prompt = read_prompt_template(str(options.checkpoint / TEMPLATE_FILE))
    texts = calibration_texts(options.dataset, prompt.template, count=options.samples, seed=options.seed)
    with quiet_unless(sys.stderr.isatty() or not console.is_terminal) as listener:
        made = quantize(options.checkpoint / HF, options.out, options.format, texts, listener)
    size = sum(file.stat().st_size for file in made.weight_files)
    assert made.quantization is not None  # noqa: S101 - checked by the export
    console.print(
        f"{options.out}: {made.quantization.algorithm}, {size / 1e6:,.1f} MB", highlight=False, soft_wrap=True
    )
    return 0

"""`iterqr-train export`: from an adapter to a checkpoint that servers load."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

from iterqr_server.models.output_vocabulary import OutputVocabulary
from iterqr_server.models.progress import quiet_unless
from rich.console import Console
from rich.table import Table

from iterqr_training.export.documents import read_documents
from iterqr_training.export.hf_folder import Precision
from iterqr_training.export.publishing import publish
from iterqr_training.export.run import ExportedCheckpoint, run_export
from iterqr_training.export.sealing import SealSettings, seal
from iterqr_training.export.settings import ExportSettings

_DEFAULT_BASE = "qwen2.5-coder-0.5b-instruct"
_EXAMPLES = """\
examples:
  iterqr-train export --adapter runs/it1/adapter --out candidates --datasheet dataset/datasheet.json
  iterqr-train export --candidate candidates/ID --gate-report gate.json --policy policy.json --parent CHAMPION \\
      --out checkpoints --publish registry
  iterqr-train export --out checkpoints --publish s3://bucket/registry     # the base model itself, the first champion
  iterqr-train export --base Qwen/Qwen2.5-7B-Instruct --weights runs/7b/weights --quantization none --out checkpoints
  iterqr-train export --adapter runs/it1/adapter --quantized fp8 --out checkpoints    # for TensorRT-LLM

A candidate is exported, served, evaluated and gated; what the gate let through is sealed with its report and published.
The checkpoint is OUT/ID and appears when all of it is there and the built model has answered a query:
  manifest.json, MODEL_CARD.md, reports/   what it is, where it comes from, what is known of it
  hf/                                      safetensors that transformers and TensorRT-LLM load
  onnx-int8/ or onnx-int4/, prompt/        what iterqr-server runs on a CPU (serve --model.name OUT/ID/onnx-int8
                                           --rewrite.template OUT/ID/prompt/template.toml)
  adapter/, trtllm/                        the adapter; FP8 or INT4-AWQ weights, which `iterqr-train quantize` makes
The same inputs give the same ID.
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """See `Command`."""
    parser = subparsers.add_parser(
        "export",
        help="merge an adapter into its base and write a checkpoint that servers load",
        description="Merges an adapter into its base model and writes a checkpoint that servers load; without torch.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--base", default=_DEFAULT_BASE, help="what was trained: known model, folder, GGUF file or hub id; %(default)s"
    )
    trained = parser.add_mutually_exclusive_group()
    trained.add_argument("--adapter", type=Path, metavar="DIR", help="LoRA adapter that PEFT saved")
    trained.add_argument("--weights", type=Path, metavar="DIR", help="fully tuned model, with its run.json")
    trained.add_argument(
        "--candidate",
        type=Path,
        metavar="DIR",
        help="an earlier export: its artifacts, sealed with the documents given",
    )
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="the checkpoint's folder is made in it")
    parser.add_argument("--id", metavar="ID", help="of the checkpoint; made of the base and a digest if not given")
    parser.add_argument("--parent", metavar="ID", help="of the checkpoint it was trained from")
    parser.add_argument(
        "--template", metavar="NAME", help="prompt template, or a .toml file (default: the one it was trained with)"
    )
    parser.add_argument(
        "--quantization", choices=("int4", "int8", "none"), default="int8", help="of the ONNX artifact; %(default)s"
    )
    parser.add_argument(
        "--precision", choices=get_args(Precision), default="bfloat16", help="of the safetensors; %(default)s"
    )
    parser.add_argument(
        "--output-vocabulary", choices=get_args(OutputVocabulary), default="full", help="of the ONNX one; %(default)s"
    )
    parser.add_argument("--quantized", type=Path, metavar="DIR", help="what ModelOpt made of an earlier export's hf/")
    parser.add_argument("--policy", type=Path, metavar="FILE", help="JSON: how its rewrites are weighed")
    parser.add_argument("--gate-report", type=Path, metavar="FILE", help="JSON: why it was let through")
    parser.add_argument("--datasheet", type=Path, metavar="FILE", help="datasheet.json of what it was trained on")
    parser.add_argument("--publish", metavar="URL", help="registry (folder or fsspec URL) to put it into afterwards")
    parser.add_argument(
        "--no-serving-check", action="store_true", help="do not have the built model answer a query first"
    )
    parser.set_defaults(command=run)


def run(options: argparse.Namespace, console: Console) -> int:
    """See `Command`."""
    began = time.monotonic()
    exported = _seal(options) if options.candidate is not None else _export(options, console)
    _print_summary(exported, time.monotonic() - began, console)
    if options.publish is not None:
        publish(exported.folder, options.publish)
        console.print(f"published to {options.publish}; it takes no traffic yet", highlight=False, soft_wrap=True)
    return 0


def _export(options: argparse.Namespace, console: Console) -> ExportedCheckpoint:
    settings = ExportSettings(
        base=options.base,
        out=options.out,
        adapter=options.adapter,
        weights=options.weights,
        quantized=options.quantized,
        checkpoint_id=options.id,
        parent=options.parent,
        template=options.template,
        onnx=None if options.quantization == "none" else options.quantization,
        precision=options.precision,
        output_vocabulary=options.output_vocabulary,
        policy=options.policy,
        gate_report=options.gate_report,
        datasheet=options.datasheet,
        serving_check=not options.no_serving_check,
    )
    with quiet_unless(sys.stderr.isatty() or not console.is_terminal) as listener:
        return run_export(settings, listener, datetime.now(UTC))


def _seal(options: argparse.Namespace) -> ExportedCheckpoint:
    settings = SealSettings(
        candidate=options.candidate,
        out=options.out,
        documents=read_documents(options.policy, options.gate_report, options.datasheet),
        checkpoint_id=options.id,
        parent=options.parent,
    )
    sealed = seal(settings, datetime.now(UTC))
    return ExportedCheckpoint(sealed.folder, sealed.manifest, None)


def _print_summary(exported: ExportedCheckpoint, seconds: float, console: Console) -> None:
    table = Table()
    table.add_column("artifact", no_wrap=True)
    for name in ("files", "MB"):
        table.add_column(name, justify="right")
    for artifact in exported.manifest["artifacts"]:
        size = sum(file["size_bytes"] for file in artifact["files"])
        table.add_row(artifact["kind"], str(len(artifact["files"])), f"{size / 1e6:,.1f}")
    console.print(table)
    if exported.serving is not None:
        rewrites = "; ".join(exported.serving.rewrites)
        console.print(
            f"serves as {exported.serving.model_id}; its first answer: {rewrites}",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
    console.print(f"{exported.folder}  ({seconds:.1f} s)", highlight=False, soft_wrap=True)

"""A training run from its settings to its files; the composition of this package's parts.

A run's folder: run.json, adapter/ or weights/, metrics.jsonl, loss.svg, learning_rate.svg and task_weights.svg; while
it runs also state/ and best.safetensors.
"""

from __future__ import annotations

import dataclasses
import resource
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType, set_seed
from filelock import FileLock, Timeout
from iterqr_proto.rewrite_format import NO, YES, TemplateError, load_template, template_path
from iterqr_server.models.cache import sha256_of

from iterqr_training.errors import RunError, SettingError
from iterqr_training.files import write_text
from iterqr_training.train.base_model import BaseModel, best_precision, find_base, trainable_model
from iterqr_training.train.curves import run_curves
from iterqr_training.train.dataset_files import read_split
from iterqr_training.train.examples import EncodedExample, counts_by_task, encode_rows
from iterqr_training.train.losses import AnswerIds
from iterqr_training.train.metrics_log import Measured, MetricsLog
from iterqr_training.train.plan import StepPlan, step_plan
from iterqr_training.train.progress import Quiet, TrainListener
from iterqr_training.train.result_files import ADAPTER, WEIGHTS, write_adapter, write_weights
from iterqr_training.train.resume_state import BEST, STATE, LoopState, best_weights, load_state, read_loop
from iterqr_training.train.run_record import (
    RUN_FILE,
    Ingredients,
    begun_record,
    check_same_run,
    read_record,
    write_record,
)
from iterqr_training.train.settings import Method, Precision, TrainSettings, settings_json
from iterqr_training.train.tokenization import SegmentEncoder
from iterqr_training.train.tracking import Tracker, open_tracker
from iterqr_training.train.trainer import Trained, Trainer

_METRICS, _DATASHEET = "metrics.jsonl", "datasheet.json"


@dataclass(frozen=True, slots=True)
class FinishedRun:
    """A run's folder and its run.json, finished in the main process. `already`: it had been finished before."""

    folder: Path
    record: Mapping[str, Any]
    already: bool = False


@dataclass(frozen=True, slots=True)
class _Data:
    train: tuple[EncodedExample, ...]
    validation: tuple[EncodedExample, ...]
    base: BaseModel
    ingredients: Ingredients
    answers: AnswerIds


def train(settings: TrainSettings, listener: TrainListener, *, restart: bool = False) -> FinishedRun:
    """Trains, or goes on with what an interrupted run of the same settings left in the folder.

    Under `accelerate launch` every process calls it; the main one writes.

    Raises:
        TrainingError: A setting, the dataset, the base or the folder does not allow it; or the loss diverged.
    """
    if settings.threads:
        torch.set_num_threads(settings.threads)
    if settings.precision is Precision.AUTO:
        settings = dataclasses.replace(settings, precision=best_precision())
    accelerator = Accelerator(mixed_precision="no" if settings.precision is Precision.FP32 else "bf16")
    listener = listener if accelerator.is_main_process else Quiet()
    with _only_one(settings.out, accelerator):
        if restart and accelerator.is_main_process:
            _clear(settings.out)
        accelerator.wait_for_everyone()
        data = _read(settings, listener)
        begun = begun_record(settings, data.ingredients, _machine(accelerator))
        before = read_record(settings.out)
        if before is not None:
            check_same_run(before, begun, settings, settings.out)
            if before["status"] == "finished":
                return FinishedRun(settings.out, before, already=True)
        return _train(settings, data, begun, accelerator, listener)


def _train(
    settings: TrainSettings,
    data: _Data,
    begun: dict[str, Any],
    accelerator: Accelerator,
    listener: TrainListener,
) -> FinishedRun:
    plan = step_plan(data.train, settings)
    loop = read_loop(settings.out) or LoopState()
    sizes = {"steps": plan.steps, "epoch_steps": plan.epoch_steps, "epoch_examples": plan.epoch_examples}
    recorder = _Recorder(settings, {**begun, "plan": sizes}, loop) if accelerator.is_main_process else None
    if recorder is not None:
        loop = dataclasses.replace(loop, tracked_run=recorder.run_id)
    set_seed(settings.seed)
    sharded = accelerator.distributed_type == DistributedType.FSDP
    model = trainable_model(data.base, settings, sharded=sharded, listener=listener)
    trained = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=settings.top_learning_rate, weight_decay=settings.weight_decay)
    parameters = sum(each.numel() for each in trained)
    model, optimizer = accelerator.prepare(model, optimizer)
    torch.manual_seed(settings.seed + accelerator.process_index)
    if loop.step:
        load_state(accelerator, model, optimizer, settings.out)
        listener.says(f"going on after step {loop.step} of {plan.steps}")
    trainer = Trainer(
        accelerator,
        model,
        optimizer,
        settings=settings,
        plan=plan,
        validation=data.validation,
        answers=data.answers,
        folder=settings.out,
        listener=listener,
        measured=recorder.measured if recorder else lambda _measured: None,
        saving=recorder.flush if recorder else lambda: None,
    )
    ended = trainer.run(loop)
    record = begun
    if recorder is not None:
        result = _write_result(settings, data.base, accelerator.unwrap_model(model))
        outcome = {"trained_parameters": parameters, **_outcome(ended, plan, accelerator)}
        record = recorder.finish({**result, **outcome})
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return FinishedRun(settings.out, record)


class _Recorder:
    """The main process's files: metrics, curves, MLflow, run.json."""

    def __init__(self, settings: TrainSettings, begun: dict[str, Any], loop: LoopState) -> None:
        self._folder, self._record = settings.out, begun
        write_record(self._folder, begun)
        self._log = MetricsLog(self._folder / _METRICS, loop.step or -1)
        self._tracker: Tracker = open_tracker(settings.mlflow, self._folder, settings_json(settings), loop.tracked_run)
        self._tracked = len(self._log.entries)

    @property
    def run_id(self) -> str:
        return self._tracker.run_id

    def measured(self, measured: Measured) -> None:
        self._log.append(measured)

    def flush(self) -> None:
        """Hands on what is new, and draws the curves. A run killed before its state is saved hands some on twice."""
        self._tracker.log(self._log.entries[self._tracked :])
        self._tracked = len(self._log.entries)
        for name, svg in run_curves(self._log.entries).items():
            write_text(self._folder / name, svg)

    def finish(self, result: Mapping[str, Any]) -> dict[str, Any]:
        self.flush()
        validations = [each for each in self._log.entries if "validation/loss" in each.values]
        best = next((each for each in validations if each.step == result["best_step"]), None)
        metrics = {
            "first": dict(validations[0].values) if validations else {},
            "best": dict(best.values) if best else {},
            "last": dict(self._log.entries[-1].values) if self._log.entries else {},
        }
        record = {**self._record, "status": "finished", "result": {**result, "metrics": metrics}}
        write_record(self._folder, record)
        shutil.rmtree(self._folder / STATE, ignore_errors=True)
        (self._folder / f"{BEST}.safetensors").unlink(missing_ok=True)
        files = [self._folder / name for name in (RUN_FILE, *run_curves(()))]
        self._tracker.finish(files)
        return record


def _read(settings: TrainSettings, listener: TrainListener) -> _Data:
    """Reads and encodes the splits; says what is left out."""
    splits = {name: read_split(settings.dataset, name, settings.tasks) for name in _split_names(settings)}
    try:
        path = template_path(settings.template)
        template, template_sha256 = load_template(path), sha256_of(path)
    except (OSError, TemplateError) as error:
        raise SettingError(f"template: {error}") from error
    base = find_base(settings.base, listener)
    encoder = SegmentEncoder(base.tokenizer_json)
    encoded = {}
    for name, split in splits.items():
        encoded[name] = encode_rows(
            split.rows,
            template,
            encoder,
            max_tokens=settings.max_example_tokens,
            max_too_long=settings.max_too_long,
        )
        if too_long := encoded[name].too_long:
            named = ", ".join(too_long[:5]) + (", …" if len(too_long) > 5 else "")
            listener.says(
                f"{name}: left out {len(too_long)} of {len(split.rows)} examples with more than "
                f"{settings.max_example_tokens} tokens: {named}"
            )
    datasheet = settings.dataset / _DATASHEET
    digests = {name: split.sha256 for name, split in splits.items()}
    if datasheet.is_file():
        digests["datasheet"] = sha256_of(datasheet)
    ingredients = Ingredients(
        base_name=base.name,
        base_sha256=base.sha256,
        template_name=path.stem,
        template_sha256=template_sha256,
        dataset_sha256=digests,
        examples={name: counts_by_task(each.examples) for name, each in encoded.items()},
        left_out={
            name: {"other_tasks": splits[name].other_tasks, "too_long": list(each.too_long)}
            for name, each in encoded.items()
        },
    )
    yes, no = (encoder.encode_answer(answer)[0] for answer in (YES, NO))
    validation = encoded["validation"].examples if "validation" in encoded else ()
    return _Data(encoded["train"].examples, validation, base, ingredients, AnswerIds(yes, no))


def _split_names(settings: TrainSettings) -> tuple[str, ...]:
    return ("train", "validation") if settings.validate_every else ("train",)


def _write_result(settings: TrainSettings, base: BaseModel, model: Any) -> dict[str, Any]:  # noqa: ANN401
    weights = best_weights(settings.out)
    if settings.method is Method.LORA:
        return {"adapter": {"folder": ADAPTER, "sha256": write_adapter(settings.out, model, weights)}}
    return {"weights": {"folder": WEIGHTS, "sha256": write_weights(settings.out, base.files, weights)}}


def _outcome(ended: Trained, plan: StepPlan, accelerator: Accelerator) -> dict[str, Any]:
    best = ended.loop.best
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    on_gpu = accelerator.device.type == "cuda"
    return {
        "steps": ended.loop.step,
        "planned_steps": plan.steps,
        "stopped_early": ended.stopped_early,
        "best_step": ended.loop.step if best is None else best.step,
        "tokens": ended.loop.tokens,
        "step_seconds": round(ended.loop.seconds, 3),
        "tokens_per_second": round(ended.loop.tokens / ended.loop.seconds, 2) if ended.loop.seconds else None,
        "longest_row_tokens": ended.peak_tokens,
        "peak_memory_bytes": peak,
        **({"peak_gpu_memory_bytes": torch.cuda.max_memory_allocated()} if on_gpu else {}),
    }


def _machine(accelerator: Accelerator) -> dict[str, Any]:
    return {
        "device": str(accelerator.device),
        "device_name": torch.cuda.get_device_name() if accelerator.device.type == "cuda" else "",
        "processes": accelerator.num_processes,
        "distribution": str(accelerator.distributed_type.value),
        "threads": torch.get_num_threads(),
    }


@contextmanager
def _only_one(folder: Path, accelerator: Accelerator) -> Iterator[None]:
    """Keeps other runs out of the folder."""
    if not accelerator.is_main_process:
        yield
        return
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout as error:
        raise RunError(f"{folder} is in use by another run") from error
    except OSError as error:
        raise RunError(f"{folder} cannot be written: {error}") from error
    try:
        yield
    finally:
        lock.release()


def _clear(folder: Path) -> None:
    for name in (STATE, f".{STATE}.old", f".{STATE}.partial", ADAPTER, WEIGHTS):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in (RUN_FILE, _METRICS, f"{BEST}.safetensors", *run_curves(())):
        (folder / name).unlink(missing_ok=True)

"""What an interrupted run is gone on from: `state/` in the run's folder, replaced as a whole after every few steps.

Weights that are trained, the optimizer's moments, each process's random generators, and the loop's own numbers; order
of data and learning rate are functions of the step (`plan`). With FSDP, accelerate writes weights and optimizer in its
own sharded form.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedType
from safetensors.torch import load_file, save_file

from iterqr_training.errors import RunError
from iterqr_training.files import write_json
from iterqr_training.train.task_weighting import WeightingState
from iterqr_training.train.validation import Best

STATE, BEST = "state", "best"
_LOOP, _WEIGHTS, _OPTIMIZER, _SHARDED = "loop.json", "trained.safetensors", "optimizer.pt", "sharded"
_SCHEMA = "iterqr-train-state/v1"


@dataclass(frozen=True, slots=True)
class LoopState:
    """Where the loop is: the last finished step, tokens run so far, seconds spent, and what the parts remember."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    weighting: WeightingState = WeightingState()  # noqa: RUF009 - frozen
    best: Best | None = None
    tracked_run: str = ""

    def to_json(self) -> dict[str, Any]:
        """See `from_json`."""
        return {
            "schema": _SCHEMA,
            "step": self.step,
            "tokens": self.tokens,
            "seconds": self.seconds,
            "weighting": self.weighting.to_json(),
            "best": None if self.best is None else asdict(self.best),
            "tracked_run": self.tracked_run,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> LoopState:
        """Reads what `to_json` gave."""
        if data["schema"] != _SCHEMA:
            raise ValueError(f"schema is {data['schema']!r}, must be {_SCHEMA!r}")
        best = None if data["best"] is None else Best(**data["best"])
        weighting = WeightingState.from_json(data["weighting"])
        return cls(data["step"], data["tokens"], data["seconds"], weighting, best, data["tracked_run"])


def trained_weights(accelerator: Accelerator, model: Any) -> dict[str, Any]:  # noqa: ANN401 - torch is untyped
    """Returns the weights that are trained, by their names in the unwrapped model, on the CPU.

    Called by all processes; with FSDP only the main one gets them.
    """
    names = [name for name, each in accelerator.unwrap_model(model).named_parameters() if each.requires_grad]
    if accelerator.distributed_type == DistributedType.FSDP:
        gathered = accelerator.get_state_dict(model)
        return {name: gathered[name].cpu().contiguous() for name in names if name in gathered}
    parameters = dict(accelerator.unwrap_model(model).named_parameters())
    return {name: parameters[name].detach().cpu().clone().contiguous() for name in names}


def save_best(accelerator: Accelerator, model: Any, folder: Path) -> None:  # noqa: ANN401
    """Keeps the weights of the best validation. Called by all processes."""
    weights = trained_weights(accelerator, model)
    if accelerator.is_main_process:
        target = folder / f"{BEST}.safetensors"
        partial = target.with_name(f".{target.name}.partial")
        save_file(weights, partial)
        partial.replace(target)
    accelerator.wait_for_everyone()


def best_weights(folder: Path) -> dict[str, Any]:
    """Returns what `save_best` kept."""
    return dict(load_file(folder / f"{BEST}.safetensors"))


def save_state(accelerator: Accelerator, model: Any, optimizer: Any, loop: LoopState, folder: Path) -> None:  # noqa: ANN401
    """Replaces the run's state. Called by all processes."""
    target, partial = folder / STATE, folder / f".{STATE}.partial"
    if accelerator.is_main_process:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    accelerator.wait_for_everyone()
    if accelerator.distributed_type == DistributedType.FSDP:
        accelerator.save_state(str(partial / _SHARDED))
    elif accelerator.is_main_process:
        save_file(trained_weights(accelerator, model), partial / _WEIGHTS)
        torch.save(optimizer.state_dict(), partial / _OPTIMIZER)
    torch.save(_random_state(), partial / _random_file(accelerator))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        write_json(partial / _LOOP, loop.to_json())
        old = folder / f".{STATE}.old"
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.rename(old)
        partial.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    accelerator.wait_for_everyone()


def read_loop(folder: Path) -> LoopState | None:
    """Returns where an interrupted run is; None if it left no state.

    Raises:
        RunError: The state is damaged or of another version.
    """
    old, state = folder / f".{STATE}.old", folder / STATE
    if not state.exists() and old.exists():  # killed between the two renames of `save_state`
        old.rename(state)
    if not state.exists():
        return None
    try:
        return LoopState.from_json(json.loads((state / _LOOP).read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{state / _LOOP} is damaged ({error!r}); start anew with --restart") from error


def load_state(accelerator: Accelerator, model: Any, optimizer: Any, folder: Path) -> None:  # noqa: ANN401
    """Puts weights, optimizer and random generators back. Called by all processes.

    Raises:
        RunError: A file of the state is damaged, or was written by another number of processes.
    """
    state = folder / STATE
    try:
        if accelerator.distributed_type == DistributedType.FSDP:
            accelerator.load_state(str(state / _SHARDED))
        else:
            parameters = dict(accelerator.unwrap_model(model).named_parameters())
            with torch.no_grad():
                for name, values in load_file(state / _WEIGHTS).items():
                    parameters[name].copy_(values)
            optimizer.load_state_dict(torch.load(state / _OPTIMIZER, map_location="cpu", weights_only=True))
        _restore_random(torch.load(state / _random_file(accelerator), map_location="cpu", weights_only=True))
    except Exception as error:  # safetensors, pickle and accelerate each have their own
        raise RunError(f"{state} cannot be gone on from ({error!r}); start anew with --restart") from error


def _random_file(accelerator: Accelerator) -> str:
    return f"random-{accelerator.process_index}-of-{accelerator.num_processes}.pt"


def _random_state() -> dict[str, Any]:
    on_gpu = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    return {"cpu": torch.get_rng_state(), "cuda": on_gpu}


def _restore_random(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["cpu"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])

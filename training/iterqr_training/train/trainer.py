"""The training loop: steps, validations, and what is kept of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object

from iterqr_training.dataset.rows import Task
from iterqr_training.errors import RunError
from iterqr_training.train.examples import EncodedExample
from iterqr_training.train.losses import (
    AnswerIds,
    answer_logits,
    example_divergences,
    example_losses,
    row_loss,
    yes_margins,
)
from iterqr_training.train.metrics_log import Measured
from iterqr_training.train.packing import PackedRow, pack
from iterqr_training.train.plan import StepPlan, learning_rate, loss_shares
from iterqr_training.train.progress import TrainListener
from iterqr_training.train.resume_state import LoopState, save_best, save_state
from iterqr_training.train.settings import TrainSettings
from iterqr_training.train.task_weighting import task_weighting
from iterqr_training.train.validation import Best, ValidationResult, validation_result


@dataclass(frozen=True, slots=True)
class Trained:
    """How a run ended: where, why, and what it used."""

    loop: LoopState
    stopped_early: bool
    peak_tokens: int


class Trainer:
    """One process's part of a run. Every process makes the same calls; each runs its share of a step's rows.

    Args:
        accelerator: Knows devices and processes.
        model, optimizer: As `accelerator.prepare` returned them.
        settings, plan: What to do.
        validation: The examples of the validation split.
        answers: First tokens of yes and no.
        folder: Of the run: best weights and state are kept there.
        listener: Hears of steps.
        measured: Takes what each step gave; called by the main process before the state that includes it is saved.
        saving: Called by the main process just before a state is saved.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        model: Any,  # noqa: ANN401 - torch is untyped
        optimizer: Any,  # noqa: ANN401
        *,
        settings: TrainSettings,
        plan: StepPlan,
        validation: Sequence[EncodedExample],
        answers: AnswerIds,
        folder: Path,
        listener: TrainListener,
        measured: Callable[[Measured], None],
        saving: Callable[[], None],
    ) -> None:
        self._accelerator = accelerator
        self._model = model
        self._optimizer = optimizer
        self._settings = settings
        self._plan = plan
        self._validation = self._pack(validation)
        self._answers = answers
        self._folder = folder
        self._listener = listener
        self._measured = measured
        self._saving = saving
        self._weighting = task_weighting(settings)
        self._trained = [each for each in model.parameters() if each.requires_grad]
        self._peak_tokens = 0

    def run(self, loop: LoopState) -> Trained:
        """Trains from `loop` on, to the end or until validations no longer improve.

        Raises:
            RunError: The loss is no longer a finite number.
        """
        settings, steps = self._settings, self._plan.steps
        stops = False
        if settings.validate_every and loop.step == 0:
            # Not saved: with FSDP, PyTorch would fill the optimizer's empty state by a step that counts.
            loop = self._validated(loop, {})
        self._listener.begins(loop.step, steps)
        while loop.step < steps and not (stops := self._stops(loop)):
            began = time.perf_counter()
            loop, values = self._step(loop)
            seconds = time.perf_counter() - began
            values["tokens_per_second"] = values["tokens"] / seconds
            loop = replace(loop, seconds=loop.seconds + seconds)
            validates = settings.validate_every and (loop.step % settings.validate_every == 0 or loop.step == steps)
            if validates:
                loop = self._validated(loop, values)
            else:
                self._note(loop.step, values)
            if validates or loop.step == steps or (settings.save_every and loop.step % settings.save_every == 0):
                self._save(loop)
            self._listener.stepped(loop.step, values["loss"], values["tokens_per_second"])
        if not settings.validate_every:
            save_best(self._accelerator, self._model, self._folder)
        return Trained(loop, stops, self._peak_tokens)

    def _stops(self, loop: LoopState) -> bool:
        return loop.best is not None and loop.best.stops(self._settings.patience)

    def _step(self, loop: LoopState) -> tuple[LoopState, dict[str, float]]:
        settings, step = self._settings, loop.step + 1
        examples = self._plan.examples(step)
        shares = loss_shares(examples)
        weights = self._weighting.weights(loop.weighting, loop.step / self._plan.steps)
        rate = learning_rate(step, self._plan.steps, settings)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._model.train()
        rows = self._pack(examples)
        mine, rounds = self._mine(rows)
        sums = dict.fromkeys((*Task, "kl"), 0.0)
        for number in range(rounds):
            row, counts = (mine[number], 1.0) if number < len(mine) else (rows[0], 0.0)
            last = number == rounds - 1
            with nullcontext() if last else self._accelerator.no_sync(self._model):
                loss = self._row_loss(row, weights, shares, len(examples), sums, counts)
                # Gradients are averaged over processes, the loss is a sum over all rows.
                self._accelerator.backward(loss * (counts * self._accelerator.num_processes))
        norm = self._gradient_norm()
        self._optimizer.step()
        self._optimizer.zero_grad()
        totals = self._reduced(sums)
        tokens = sum(len(row.token_ids) for row in rows)
        losses = {task: totals[task] for task in Task if any(each.task is task for each in examples)}
        loss = sum(weights[task] * value for task, value in losses.items()) + settings.kl_weight * totals["kl"]
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise RunError(
                f"step {step}: loss is {loss:g} and the gradient's norm {norm:g}: training has diverged; "
                f"lower learning_rate ({settings.top_learning_rate:g}), or use precision fp32"
            )
        values = {
            "loss": loss,
            **{f"loss/{task}": value for task, value in losses.items()},
            **{f"weight/{task}": weight for task, weight in weights.items()},
            **({"kl": totals["kl"]} if settings.kl_weight else {}),
            "learning_rate": rate,
            "gradient_norm": norm,
            "epoch": (step - 1) / self._plan.epoch_steps,
            "rows": float(len(rows)),
            "tokens": float(tokens),
        }
        weighting = self._weighting.after(loop.weighting, step, losses)
        return replace(loop, step=step, tokens=loop.tokens + tokens, weighting=weighting), values

    def _gradient_norm(self) -> float:
        """Clips the gradient; returns its norm before that."""
        norm = self._accelerator.clip_grad_norm_(self._trained, self._settings.clip_norm)
        return float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)  # sharded: a DTensor

    def _row_loss(
        self,
        row: PackedRow,
        weights: Mapping[Task, float],
        shares: Mapping[str, float],
        examples: int,
        sums: dict[Any, float],
        counts: float,
    ) -> Any:  # noqa: ANN401
        """Runs a row; adds its shares of the tasks' losses to `sums`, times `counts`."""
        device, base_logits = self._accelerator.device, None
        if self._settings.kl_weight:
            with torch.no_grad(), self._accelerator.unwrap_model(self._model).disable_adapter():
                base_logits = answer_logits(self._model, row, device)
        logits = answer_logits(self._model, row, device)
        self._peak_tokens = max(self._peak_tokens, len(row.token_ids))
        losses = example_losses(logits, row)
        loss = row_loss(losses, row, weights, shares)
        if base_logits is not None:
            divergence = example_divergences(logits, base_logits, row).sum() / examples
            loss = loss + self._settings.kl_weight * divergence
            sums["kl"] += counts * divergence.item()
        for example, value in zip(row.examples, losses.tolist(), strict=True):
            sums[example.task] += counts * shares[example.example_id] * value
        return loss

    def validate(self) -> ValidationResult:
        """Runs the validation rows. Called by all processes."""
        self._model.eval()
        mine, rounds = self._mine(self._validation)
        parts: list[tuple[Task, float, float]] = []
        answers: list[tuple[Task, bool, float]] = []
        with torch.no_grad():
            for number in range(rounds):
                row = mine[number] if number < len(mine) else self._validation[0]
                logits = answer_logits(self._model, row, self._accelerator.device)
                if number < len(mine):
                    losses = example_losses(logits, row).tolist()
                    parts += [
                        (each.task, each.weight * loss, each.weight)
                        for each, loss in zip(row.examples, losses, strict=True)
                    ]
                    answers += yes_margins(logits, row, self._answers)
        parts, answers = gather_object(parts), gather_object(answers)
        sums: dict[Task, tuple[float, float]] = {}
        for task, loss, weight in parts:
            total, of_weights = sums.get(task, (0.0, 0.0))
            sums[task] = (total + loss, of_weights + weight)
        return validation_result(sums, answers, self._settings.task_weights)

    def _validated(self, loop: LoopState, values: Mapping[str, float]) -> LoopState:
        result = self.validate()
        if loop.best is None:
            best = Best(loop.step, result.loss)
        else:
            best = loop.best.after(loop.step, result.loss, self._settings.min_improvement)
        if best.step == loop.step:
            save_best(self._accelerator, self._model, self._folder)
        self._note(loop.step, {**values, **result.metrics()})
        return replace(loop, best=best)

    def _note(self, step: int, values: Mapping[str, float]) -> None:
        if self._accelerator.is_main_process:
            self._measured(Measured(step, values))

    def _save(self, loop: LoopState) -> None:
        if self._accelerator.is_main_process:
            self._saving()
        save_state(self._accelerator, self._model, self._optimizer, loop, self._folder)

    def _pack(self, examples: Sequence[EncodedExample]) -> list[PackedRow]:
        return pack(examples, self._settings.row_tokens, together=self._settings.packing)

    def _mine(self, rows: Sequence[PackedRow]) -> tuple[Sequence[PackedRow], int]:
        """This process's rows, and how many each process must run for all to keep in step."""
        processes = self._accelerator.num_processes
        return rows[self._accelerator.process_index :: processes], math.ceil(len(rows) / processes)

    def _reduced(self, sums: Mapping[Any, float]) -> dict[Any, float]:
        if self._accelerator.num_processes == 1:
            return dict(sums)
        values = torch.tensor(list(sums.values()), dtype=torch.float64, device=self._accelerator.device)
        reduced = self._accelerator.reduce(values, reduction="sum").tolist()
        return dict(zip(sums, reduced, strict=True))

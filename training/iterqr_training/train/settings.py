"""What a training run is asked for."""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iterqr_training.dataset.rows import Task
from iterqr_training.errors import SettingError

DEFAULT_MODEL = "qwen2.5-coder-0.5b-instruct"
DEFAULT_TEMPLATE = "food_delivery_tuned"
LORA_MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


class Method(enum.StrEnum):
    """Which weights change. LORA: low-rank updates of every linear layer; FULL: all."""

    LORA = "lora"
    FULL = "full"


class Precision(enum.StrEnum):
    """Of the computation. BF16: the frozen base is kept in it, too; what is trained is always float32.

    AUTO: BF16 where the hardware multiplies in it and is several times as fast so, else FP32.
    """

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"


class Weighting(enum.StrEnum):
    """How the tasks' losses are added up; see `task_weighting`."""

    STATIC = "static"
    SCHEDULE = "schedule"
    DWA = "dwa"
    UNCERTAINTY = "uncertainty"


TASK_WEIGHTS = {Task.GENERATION: 1.0, Task.QUALITY: 0.5, Task.RELEVANCE: 0.5}
_LEARNING_RATES = {Method.LORA: 2e-4, Method.FULL: 1e-5}
# Low and high limit of each number, and whether low itself is allowed.
_LIMITS: Mapping[str, tuple[float, float, bool]] = {
    "epochs": (1, 1000, True),
    "max_steps": (0, 10_000_000, True),
    "batch_examples": (1, 100_000, True),
    "row_tokens": (64, 1_000_000, True),
    "max_example_tokens": (32, 1_000_000, True),
    "max_too_long": (0, 1, True),
    "learning_rate": (0, 1, False),
    "final_rate": (0, 1, True),
    "warmup": (0, 1, True),
    "weight_decay": (0, 1, True),
    "clip_norm": (0, 1e6, False),
    "lora_rank": (1, 1024, True),
    "lora_alpha": (0, 4096, False),
    "lora_dropout": (0, 0.9, True),
    "kl_weight": (0, 100, True),
    "replay_share": (0, 0.95, True),
    "dwa_temperature": (0, 100, False),
    "dwa_window": (1, 100_000, True),
    "uncertainty_rate": (0, 1, False),
    "validate_every": (0, 10_000_000, True),
    "patience": (0, 10_000, True),
    "min_improvement": (0, 100, True),
    "save_every": (0, 10_000_000, True),
    "threads": (0, 4096, True),
    "seed": (0, 2**32 - 1, True),
}


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """A training run. Steps are optimizer steps.

    Attributes:
        dataset: Folder with train.parquet, validation.parquet and datasheet.json (`dataset.rows`).
        out: Folder of the run. One that an interrupted run of the same settings left is gone on with.
        base: Known model, .gguf file, Hugging Face folder or hub id.
        template: Prompt of the generation task: a .toml file, or the name of one of the package.
        method, precision, weighting: See there.
        tasks: Which to learn; rows of others are left out, and counted.
        task_weights: Of each task's loss: static, and what the dynamic weightings start from or scale.
        schedule: For SCHEDULE: (share of the run, weights by task) points, between which weights are interpolated.
        epochs: Passes over the training rows.
        max_steps: Ends the run earlier; 0 does not. The learning rate's schedule ends with the run.
        batch_examples: Examples of a step, over all processes. Their loss does not depend on how they are packed.
        packing: Several examples in one row, each seeing only itself and its prompt's prefix, which the row has once.
        row_tokens: Of a packed row at most: bounds memory; a step's rows are run one after the other.
        max_example_tokens: Longer examples are left out and named.
        max_too_long: Share of the rows that may be left out so; more is an error.
        learning_rate: Highest, after warm-up; None: 2e-4 for LoRA, 1e-5 for full.
        final_rate: Share of it at the end of the cosine.
        warmup: Share of the steps in which it rises.
        clip_norm: Of the gradient.
        kl_weight: Weight of KL(base || model) per answer token, against forgetting. LoRA only.
        replay_share: Share of an epoch's rows that come from iterations before the latest; None: all rows as they are.
        dwa_temperature, dwa_window: Of DWA; the window in steps.
        uncertainty_rate: Learning rate of UNCERTAINTY's log variances.
        validate_every: Steps between validations; 0: none, and no early stopping.
        patience: Validations in a row without improvement after which the run stops; 0: never.
        min_improvement: Of the validation loss, to count.
        save_every: Steps between states to resume from; 0: only at validations.
        gradient_checkpointing: Less memory, more time.
        threads: Of PyTorch on the CPU; 0: its own choice.
        mlflow: Tracking URI; "": a SQLite file beside the run's folder; "off": none.
        seed: Of data order, adapter weights and dropout.
    """

    dataset: Path
    out: Path
    base: str = DEFAULT_MODEL
    template: str = DEFAULT_TEMPLATE
    method: Method = Method.LORA
    precision: Precision = Precision.AUTO
    tasks: tuple[Task, ...] = tuple(Task)
    weighting: Weighting = Weighting.STATIC
    task_weights: Mapping[Task, float] = dataclasses.field(default_factory=lambda: dict(TASK_WEIGHTS))
    schedule: tuple[tuple[float, Mapping[Task, float]], ...] = ()
    epochs: int = 2
    max_steps: int = 0
    batch_examples: int = 16
    packing: bool = True
    row_tokens: int = 512
    max_example_tokens: int = 512
    max_too_long: float = 0.05
    learning_rate: float | None = None
    final_rate: float = 0.1
    warmup: float = 0.06
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    lora_rank: int = 16
    lora_alpha: float = 32
    lora_dropout: float = 0.05
    kl_weight: float = 0.0
    replay_share: float | None = None
    dwa_temperature: float = 2.0
    dwa_window: int = 10
    uncertainty_rate: float = 0.05
    validate_every: int = 20
    patience: int = 3
    min_improvement: float = 0.001
    save_every: int = 10
    gradient_checkpointing: bool = False
    threads: int = 0
    mlflow: str = ""
    seed: int = 7

    def __post_init__(self) -> None:
        for name, (low, high, low_allowed) in _LIMITS.items():
            value = getattr(self, name)
            if value is None:
                continue
            if not (math.isfinite(value) and (low <= value if low_allowed else low < value) and value <= high):
                above = "at least" if low_allowed else "above"
                raise SettingError(f"{name}: must be {above} {low:g} and at most {high:g}, got {value:g}")
        if self.max_example_tokens > self.row_tokens:
            raise SettingError(
                f"max_example_tokens: must be at most row_tokens ({self.row_tokens}), got {self.max_example_tokens}"
            )
        if not self.tasks or len(set(self.tasks)) != len(self.tasks):
            raise SettingError(f"tasks: must be one or more of {', '.join(Task)}, each once")
        self._check_weights()
        if self.kl_weight and self.method is Method.FULL:
            raise SettingError(
                "kl_weight: must be 0 with method full, which keeps no frozen base beside the model; use replay_share"
            )

    @property
    def top_learning_rate(self) -> float:
        """The one asked for, or the method's."""
        return _LEARNING_RATES[self.method] if self.learning_rate is None else self.learning_rate

    def _check_weights(self) -> None:
        points = [("task_weights", self.task_weights), *(("schedule", weights) for _, weights in self.schedule)]
        for name, weights in points:
            for task in self.tasks:
                if not 0 < (weight := weights.get(task, 0.0)) <= 1000:
                    raise SettingError(f"{name}: {task}: must be above 0 and at most 1000, got {weight:g}")
        if (self.weighting is Weighting.SCHEDULE) != bool(self.schedule):
            raise SettingError("schedule: must be given with weighting schedule, and only with it")
        shares = [share for share, _ in self.schedule]
        if shares != sorted(set(shares)) or any(not 0 <= share <= 1 for share in shares):
            raise SettingError("schedule: shares of the run must rise and be from 0 to 1")


_OF_THE_MACHINE = frozenset({"out", "threads", "mlflow", "dataset", "base", "template"})


def settings_json(settings: TrainSettings) -> dict[str, Any]:
    """All settings as JSON has them."""
    return {field.name: _plain(getattr(settings, field.name)) for field in dataclasses.fields(settings)}


def differing(before: Mapping[str, Any], settings: TrainSettings) -> list[str]:
    """Names of settings that change what is learned and are not those of `before` (as `settings_json` gave it).

    Paths and names may differ: base, template and dataset are compared by digest.
    """
    now = settings_json(settings)
    return sorted(name for name in now if name not in _OF_THE_MACHINE and before.get(name) != now[name])


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a setting is
    if isinstance(value, Mapping):
        return {str(key): each for key, each in value.items()}
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value

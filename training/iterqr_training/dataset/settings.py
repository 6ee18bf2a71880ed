"""What becomes an example, and in which split."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from iterqr_training.dataset.rows import Task
from iterqr_training.errors import SettingError


@dataclass(frozen=True, slots=True)
class DatasetSettings:
    """The rules of a dataset.

    Attributes:
        min_clients: Different clients who searched with a query; people's labels of other queries are taken, too.
        validation_share: Of queries.
        test_share: Of queries.
        salt: Decides, with the query's words, on its split; the same in all iterations, or test queries are trained on.
        holdout_from: Training and validation rows are from before it, test rows from then on; None: no such rule.
        max_rewrites: Lines of an example of generation.
        max_rows_a_query: Examples of generation of a query: of its regions.
        max_pairs_a_query: Examples of a query and its rewrites in each of the other tasks.
        max_items_a_query: Examples of a query and items.
        max_rows_a_task: Training rows of a task, drawn evenly from bands and answers; 0: all.
        max_generation_rows: Of generation, another number than of the other tasks; 0: `max_rows_a_task`.
        max_rows: Training rows of all tasks together, as many of each task as of the others as far as it has them;
            0: all.
        tasks: Of which there are rows.
        hints: Whether rows have their hints; without, prompts are of the query alone.
        chain: Whether targets have their chain of thought; without, its lines say `ablated.NOTHING`.
        click_floor: Share of training rows of generation that users (by clicks or reformulations) or people must have
            decided at least.
        replay_share: Share of a task's training rows that earlier iterations may have at most.
        min_stratum: A band with fewer test queries is told of.
        min_label_kappa: Agreement with a reference below which the dataset fails the check `label_agreement`.
        min_reference: Pairs to judge that by.
        seed: Of the resamples behind the intervals.

    Raises:
        SettingError: One of them is out of its limits.
    """

    min_clients: int = 3
    validation_share: float = 0.1
    test_share: float = 0.2
    salt: str = "iterqr"
    holdout_from: datetime | None = None
    max_rewrites: int = 3
    max_rows_a_query: int = 2
    max_pairs_a_query: int = 6
    max_items_a_query: int = 2
    max_rows_a_task: int = 0
    max_generation_rows: int = 0
    max_rows: int = 0
    tasks: tuple[Task, ...] = tuple(Task)
    hints: bool = True
    chain: bool = True
    click_floor: float = 0.5
    replay_share: float = 0.5
    min_stratum: int = 30
    min_label_kappa: float = 0.1
    min_reference: int = 30
    seed: int = 7

    def __post_init__(self) -> None:
        for name, low, high in (
            ("min_clients", 1, 1_000_000),
            ("validation_share", 0, 0.9),
            ("test_share", 0, 0.9),
            ("max_rewrites", 1, 8),
            ("max_rows_a_query", 1, 1_000),
            ("max_pairs_a_query", 1, 1_000),
            ("max_items_a_query", 1, 1_000),
            ("max_rows_a_task", 0, 1_000_000_000),
            ("max_generation_rows", 0, 1_000_000_000),
            ("max_rows", 0, 1_000_000_000),
            ("click_floor", 0, 1),
            ("replay_share", 0, 1),
            ("min_stratum", 0, 1_000_000),
            ("min_label_kappa", -1, 1),
            ("min_reference", 2, 1_000_000),
            ("seed", 0, 2**32 - 1),
        ):
            if not low <= getattr(self, name) <= high:
                raise SettingError(f"{name} is {getattr(self, name)}, and must be from {low:g} to {high:g}")
        if not self.tasks or len(set(self.tasks)) < len(self.tasks):
            raise SettingError(f"tasks must be one or more of {', '.join(Task)}, each once")
        if self.validation_share + self.test_share >= 1:
            raise SettingError("validation_share and test_share together must be below 1")
        if self.holdout_from is not None and self.holdout_from.tzinfo is None:
            raise SettingError("holdout_from must have a time zone")

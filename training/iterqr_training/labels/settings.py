"""What makes a label, and when a judge is believed."""

from __future__ import annotations

from dataclasses import dataclass

from iterqr_training.errors import SettingError

LONGEST_REFORMULATION_GAP_S = 3_600


@dataclass(frozen=True, slots=True)
class LabelSettings:
    """The rules of labelling.

    Attributes:
        min_clients: A query is labelled only if so many different clients searched with it.
        level2_weight: What a click on a Level-2 hit, and looking at one, counts beside Level 1.
        order_weight: What an order counts beside the click that it followed.
        prior_examined: Examined hits of the mean click rate that every rewrite and item starts with.
        positive_lift: Something is good only with a click rate of so many times the mean.
        positive_coverage: A rewrite is good only if it retrieved so large a share of what was clicked on its pages.
        negative_lift: Something is bad up to so many times the mean.
        negative_coverage: A rewrite is bad if it retrieved no more than so large a share.
        min_examined: Nothing is bad by its click rate unless users looked at so many hits, in expectation.
        min_pages: A rewrite none of whose hits was ever shown is unusable after so many pages.
        unshown_weight: Weight of that label of quality, beside 1 of a certain click label.
        judge_weight: Weight of a certain judge's label beside a certain click label.
        min_kappa: A judge is used for a task only from this agreement with the reference on.
        min_label_kappa: Labels of a task fail the check `label_agreement` below this agreement.
        min_reference: Pairs that reference and judge must share for a task, to say how well they agree.
        max_judged: Pairs that a judge is asked about at most; queries of the tail come first.
        max_items_a_query: Items that are labelled for a query at most, the surest first, yes and no alike.
        reformulations: Whether what users searched for next is labelled as a rewrite.
        reformulation_gap_s: It was searched for at most so many seconds later; what comes later is often another need.
        min_reformulation_clients: So many different clients went from the query to it.
        reformulation_weight: Weight of a certain label of it beside a certain click label.
        corrections: Whether the usual spelling of a query is a good rewrite of it and the `fix` of its chain.
        correction_ratio: A usual spelling is searched for so many times as often as a misspelling.
        seed: Of the resamples behind the intervals.

    Raises:
        SettingError: One of them is out of its limits.
    """

    min_clients: int = 3
    level2_weight: float = 0.5
    order_weight: float = 1.0
    prior_examined: float = 1.0
    positive_lift: float = 1.35
    positive_coverage: float = 0.6
    negative_lift: float = 0.67
    negative_coverage: float = 0.3
    min_examined: float = 1.0
    min_pages: int = 3
    unshown_weight: float = 0.5
    judge_weight: float = 0.5
    min_kappa: float = 0.4
    min_label_kappa: float = 0.1
    min_reference: int = 30
    max_judged: int = 2_000
    max_items_a_query: int = 6
    reformulations: bool = True
    reformulation_gap_s: int = 60
    min_reformulation_clients: int = 1
    reformulation_weight: float = 1.0
    corrections: bool = True
    correction_ratio: float = 3.0
    seed: int = 7

    def __post_init__(self) -> None:
        for name, low, high in (
            ("min_clients", 1, 1_000_000),
            ("level2_weight", 0, 1),
            ("order_weight", 0, 100),
            ("prior_examined", 0.001, 1e6),
            ("positive_lift", 1, 1_000),
            ("positive_coverage", 0.5, 1),
            ("negative_lift", 0, 1),
            ("negative_coverage", 0, 0.5),
            ("min_examined", 0.001, 1e6),
            ("min_pages", 1, 1_000_000),
            ("unshown_weight", 0.001, 1),
            ("judge_weight", 0.001, 1),
            ("min_kappa", 0, 1),
            ("min_label_kappa", -1, 1),
            ("min_reference", 2, 1_000_000),
            ("max_judged", 0, 10_000_000),
            ("max_items_a_query", 0, 1_000),
            ("reformulation_gap_s", 1, LONGEST_REFORMULATION_GAP_S),
            ("min_reformulation_clients", 1, 1_000_000),
            ("reformulation_weight", 0.001, 1),
            ("correction_ratio", 1.5, 1_000),
            ("seed", 0, 2**32 - 1),
        ):
            if not low <= getattr(self, name) <= high:
                raise SettingError(f"{name} is {getattr(self, name)}, and must be from {low:g} to {high:g}")

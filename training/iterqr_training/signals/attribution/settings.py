"""The rules of attribution that a marketplace may choose."""

from __future__ import annotations

from dataclasses import dataclass

from iterqr_training.errors import SettingError

_MAX_WINDOW_S = 90 * 86_400


@dataclass(frozen=True, slots=True)
class AttributionSettings:
    """Names are UBI action names, spelt as the application sends them.

    Attributes:
        click_actions: What counts as a click.
        touch_actions: What an order can be credited to: the last of them before it. Those that are no clicks are
            attributed too, as kind touch, and counted nowhere.
        purchase_actions: What counts as an order.
        touch_window_s: An order is credited to touches at most this long before it.
        examination_eta: The default curve of examination is 1 / position ** eta.
        examination_prior_clicks: A harvested ratio of two positions weighs as much as the curve's at so many clicks.
        examination_positions: Deeper positions are taken to be examined as the last of these.
        max_weight: Bound of the inverse examination of a position.
        prior_hits: A rewrite's click rate weighs as much as its checkpoint's at so many examined hits.
        min_clients: A hint needs so many different clients.

    Raises:
        SettingError: One of them is out of its limits.
    """

    click_actions: tuple[str, ...] = ("click", "item_click")
    touch_actions: tuple[str, ...] = ("click", "item_click")
    purchase_actions: tuple[str, ...] = ("purchase",)
    touch_window_s: int = 86_400
    examination_eta: float = 1.0
    examination_prior_clicks: float = 50.0
    examination_positions: int = 100
    max_weight: int = 10
    prior_hits: int = 20
    min_clients: int = 3

    def __post_init__(self) -> None:
        for name in ("click_actions", "touch_actions", "purchase_actions"):
            if not getattr(self, name) or "" in getattr(self, name):
                raise SettingError(f"{name} must have at least one name, and no empty ones")
        if both := set(self.purchase_actions) & {*self.click_actions, *self.touch_actions}:
            raise SettingError(f"purchase_actions must not be clicks or touches too: {', '.join(sorted(both))}")
        for name, low, high in (
            ("touch_window_s", 1, _MAX_WINDOW_S),
            ("examination_eta", 0, 3),
            ("examination_prior_clicks", 0.001, 1e9),
            ("examination_positions", 1, 1_000),
            ("max_weight", 1, 1_000),
            ("prior_hits", 1, 1_000_000),
            ("min_clients", 1, 1_000_000),
        ):
            if not low <= getattr(self, name) <= high:
                raise SettingError(f"{name} is {getattr(self, name)}, and must be from {low:g} to {high:g}")

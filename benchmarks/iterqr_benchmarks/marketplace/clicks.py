"""What a user does with a page of results.

Whether a result is looked at depends on its position alone, whether it attracts on what it is: the examination
hypothesis (Craswell, Zoeter, Taylor, Ramsey: An experimental comparison of click position-bias models, WSDM 2008).
Until the first click, position k is examined with probability k^-eta (the position-based model, PBM); after a click at
j with (k - j)^-eta, as in the user browsing model, where it depends on the distance to the last click (UBM; Dupret,
Piwowarski, SIGIR 2008). Chuklin, Markov, de Rijke: Click Models for Web Search (2015) describes both. A noise click
needs examination only.

Every draw has a name, of the position for examination and of the item for all else: in another arm the same position is
looked at and the same dish liked, whatever the order of the results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from iterqr_benchmarks.catalog import Dish
from iterqr_benchmarks.marketplace.draws import Draws
from iterqr_benchmarks.marketplace.users import User


@dataclass(frozen=True, slots=True)
class ClickModel:
    """Its parameters; probabilities unless said otherwise.

    `eta`: how steeply examination falls. `attraction_satisfying`, `attraction_other`: of a click on an examined dish
    that does or does not satisfy the need, before price, rating and popularity. `noise`: of a click for no reason.
    `purchase`: after a click on what satisfies. `stop_after_click`: of not looking on after a click on what satisfies.
    `retry_unclicked`, `retry_clicked`: of searching again when nothing was bought. `easier`: that the next wording is
    one that most people use. `most_searches`: for one need.
    """

    eta: float = 0.9
    attraction_satisfying: float = 0.75
    attraction_other: float = 0.05
    noise: float = 0.01
    purchase: float = 0.45
    stop_after_click: float = 0.4
    retry_unclicked: float = 0.6
    retry_clicked: float = 0.25
    easier: float = 0.7
    most_searches: int = 3


@dataclass(frozen=True, slots=True)
class Moment:
    """Where in a user's life a page is seen; names the draws. `attempt`: 0 is the first search for the need."""

    user: int
    session: int
    step: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Click:
    """A click on a hit. `position`: 1 is the first. `noise`: it attracted for no reason."""

    object_id: str
    position: int
    satisfies: bool
    noise: bool


@dataclass(frozen=True, slots=True)
class Visit:
    """What came of one page. `ordered`: the click that led to an order. `retries`: the user searches again."""

    clicks: tuple[Click, ...]
    ordered: Click | None
    retries: bool


def examination(model: ClickModel, position: int, last_click: int, patience: float) -> float:
    """Returns the probability that a position is looked at.

    Args:
        model: Has eta.
        position: From 1.
        last_click: Position of the last click above it; 0 for none.
        patience: Of the user; 1 is usual. Divides eta.
    """
    return float((position - last_click) ** (-model.eta / patience))


def attraction(model: ClickModel, user: User, dish: Dish, *, satisfies: bool, popularity: float) -> float:
    """Returns the probability that an examined dish is clicked, noise apart.

    Args:
        model: Has the probabilities to start from.
        user: Whose thrift weighs prices.
        dish: Cheaper, better rated and favourite ones attract more.
        satisfies: The user's need.
        popularity: 0 to 1: how often others bought it in this run, beside what was bought most.
    """
    start = model.attraction_satisfying if satisfies else model.attraction_other
    price = 1 - 0.3 * user.thrift * min(1.0, max(0.0, dish.price / 30))
    rating = 1 + 0.15 * (dish.rating - 4.3)
    liked = 1.1 if dish.cuisine in user.favourites else 1.0
    return min(0.98, max(0.0, start * price * rating * liked * (1 + 0.2 * popularity)))


def visit(
    model: ClickModel,
    draws: Draws,
    moment: Moment,
    user: User,
    page: Sequence[Dish],
    satisfying: frozenset[str],
    popularity: Callable[[str], float],
) -> Visit:
    """Returns what a user does with a page.

    Args:
        model: Of behaviour.
        draws: Of the traffic.
        moment: Names the draws. A dish's attraction has the same draw at each attempt: who does not fancy it does not
            fancy it a minute later either.
        user: Who looks.
        page: Dishes as shown, the first on top; none twice.
        satisfying: Ids of what satisfies the need.
        popularity: Of a dish by its id.
    """
    who = (moment.user, moment.session, moment.step)
    clicks: list[Click] = []
    ordered: Click | None = None
    last = 0
    for position, dish in enumerate(page, start=1):
        looked = draws.uniform(*who, moment.attempt, "examines", position)
        if looked >= examination(model, position, last, user.patience):
            continue
        satisfies = dish.dish_id in satisfying
        chance = attraction(model, user, dish, satisfies=satisfies, popularity=popularity(dish.dish_id))
        attracted = draws.uniform(*who, "attracted", dish.dish_id) < chance
        noise = draws.uniform(*who, moment.attempt, "noise", dish.dish_id) < model.noise
        if not attracted and not noise:
            continue
        click = Click(dish.dish_id, position, satisfies, noise=not attracted)
        clicks.append(click)
        last = position
        if satisfies and draws.uniform(*who, "buys", dish.dish_id) < model.purchase:
            ordered = click
            break
        if satisfies and draws.uniform(*who, moment.attempt, "stops", dish.dish_id) < model.stop_after_click:
            break
    retry = model.retry_clicked if clicks else model.retry_unclicked
    again = (
        ordered is None
        and moment.attempt + 1 < model.most_searches
        and draws.uniform(*who, moment.attempt, "retries") < retry
    )
    return Visit(tuple(clicks), ordered, again)


def popularity_of(orders: Mapping[str, int], most: int) -> Callable[[str], float]:
    """Returns the popularity by dish id, 0 to 1: orders so far beside those of the dish that has most."""
    return lambda dish_id: orders.get(dish_id, 0) / most if most else 0.0

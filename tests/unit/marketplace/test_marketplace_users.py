"""Users, sessions and clicks: what is drawn has the frequencies that the parameters say."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from iterqr_benchmarks.catalog import Dish
from iterqr_benchmarks.marketplace.clicks import (
    ClickModel,
    Moment,
    Visit,
    attraction,
    examination,
    popularity_of,
    visit,
)
from iterqr_benchmarks.marketplace.draws import Draws
from iterqr_benchmarks.marketplace.merchants import region_names
from iterqr_benchmarks.marketplace.plan import Session, hour_of, need_of, plan_sessions
from iterqr_benchmarks.marketplace.settings import AdversitySettings, TrafficSettings
from iterqr_benchmarks.marketplace.traffic import users_of
from iterqr_benchmarks.marketplace.users import User, make_user, taste_for
from support.scripted_market import small_market

TRAFFIC = TrafficSettings(users=400, searches=3_000, days=7, seed=8)
REGIONS = region_names(12)
USER = User(0, "c", "north", frozenset(), "", thrift=0.0, patience=1.0, activity=1.0)
PLAIN = ClickModel(eta=1.0, attraction_satisfying=0.6, attraction_other=0.1, noise=0.0, retry_unclicked=0.5)
MOMENTS = 2_500


def dishes(count: int) -> list[Dish]:
    return [
        Dish(f"d-{i}", f"Dish {i}", "Fox House", "fox", "north", "Thai", "", (), (), 0.0, 4.3, 1, "pad-thai")
        for i in range(1, count + 1)
    ]


def visits(
    model: ClickModel, page: Sequence[Dish], satisfying: frozenset[str] = frozenset(), user: User = USER
) -> list[Visit]:
    draws = Draws(1)
    return [
        visit(model, draws, Moment(number, 0, 0, 0), user, page, satisfying, lambda _id: 0.0)
        for number in range(MOMENTS)
    ]


def test_draws_are_uniform_and_go_by_name() -> None:
    draws = Draws(1)
    drawn = [draws.uniform("x", number) for number in range(20_000)]
    assert 0 <= min(drawn) < max(drawn) < 1
    assert all(1_850 < count < 2_150 for count in Counter(int(each * 10) for each in drawn).values())
    assert draws.uniform("x", 7) == drawn[7] == Draws(1).uniform("x", 7)
    assert Draws(2).uniform("x", 7) != drawn[7]
    assert draws.uniform("a", "bc") != draws.uniform("ab", "c")
    assert draws.stream("x").random() == Draws(1).stream("x").random()


def test_users_are_these_very_ones() -> None:
    digest = hashlib.sha256()
    for each in users_of(TRAFFIC, REGIONS):
        favourites = ",".join(sorted(each.favourites))
        drawn = f"{each.thrift:.6f} {each.patience:.6f} {each.activity:.6f}"
        digest.update(f"{each.client_id} {each.region} {favourites} {each.diet} {drawn}".encode())
    assert digest.hexdigest() == "468c876d625db54944b9c941e34df29bc09e0a86c7cf7845fdbb84333adff1c0"


def test_a_user_is_the_same_whoever_else_there_is() -> None:
    assert users_of(replace(TRAFFIC, users=5), REGIONS) == users_of(TRAFFIC, REGIONS)[:5]
    assert make_user(Draws(8), 8, 3, REGIONS) == users_of(TRAFFIC, REGIONS)[3]


def test_few_users_make_most_of_the_searches_and_regions_differ_in_size() -> None:
    users = users_of(TRAFFIC, REGIONS)
    activity = sorted((user.activity for user in users), reverse=True)
    assert sum(activity[:80]) > 0.45 * sum(activity)
    sizes = Counter(user.region for user in users)
    assert sizes["north"] > 3 * sizes["airport"]


def test_clocks_are_wrong_for_the_share_of_users() -> None:
    skewed = users_of(replace(TRAFFIC, adversity=AdversitySettings(clock_skew=0.25)), REGIONS)
    wrong = [user.clock_skew_s for user in skewed if user.clock_skew_s]
    assert len(wrong) / len(skewed) == pytest.approx(0.25, abs=0.06)
    assert min(wrong) < -1_000 < 1_000 < max(wrong)
    assert max(map(abs, wrong)) <= 7_200
    assert [replace(user, clock_skew_s=0.0) for user in skewed] == list(users_of(TRAFFIC, REGIONS))


def test_sessions_have_the_searches_asked_for_in_order_of_time() -> None:
    users = users_of(TRAFFIC, REGIONS)
    sessions = plan_sessions(TRAFFIC, users)
    assert sum(session.steps for session in sessions) == 3_000
    assert [session.start for session in sessions] == sorted(session.start for session in sessions)
    assert sessions == plan_sessions(TRAFFIC, users)
    hours = {hour_of(TRAFFIC, session) for session in sessions}
    assert (min(hours) >= 0, max(hours) < 7 * 24) == (True, True)
    of_day = Counter(session.start.hour for session in sessions)
    assert of_day[19] > 4 * of_day[3]


def test_a_user_is_in_one_session_at_a_time() -> None:
    visits: dict[str, list[Session]] = {}
    for session in plan_sessions(replace(TRAFFIC, searches=10_000), users_of(TRAFFIC, REGIONS)):
        visits.setdefault(session.user.client_id, []).append(session)
    assert max(map(len, visits.values())) > 50, "busy users are what it is about"
    for sessions in visits.values():
        for before, after in pairwise(sessions):
            assert before.start + before.steps * timedelta(minutes=30) <= after.start


def test_more_sessions_than_there_is_room_for_are_planned_all_the_same() -> None:
    (user, *_) = users_of(TRAFFIC, REGIONS)
    assert sum(session.steps for session in plan_sessions(replace(TRAFFIC, searches=500, days=1), [user])) == 500


def test_bots_are_their_share_of_sessions_and_move_no_one_else() -> None:
    users = users_of(TRAFFIC, REGIONS)
    rough = plan_sessions(replace(TRAFFIC, adversity=AdversitySettings(bots=0.2)), users)
    assert sum(bool(session.bot) for session in rough) / len(rough) == pytest.approx(0.2, abs=0.04)
    assert {session.bot for session in rough} == {"", "scraper", "clicker", "fraud"}
    whole = {session.number: session for session in plan_sessions(TRAFFIC, users)}
    people = [session for session in rough if not session.bot and session.number != max(s.number for s in rough)]
    assert all(whole[session.number] == session for session in people if session.number in whole)


def test_users_want_what_they_like_more_often() -> None:
    market = small_market()
    region = market.region("north")
    user = replace(USER, favourites=frozenset({"Thai"}), diet="vegan")
    (session, *_) = plan_sessions(replace(TRAFFIC, searches=1), [user])
    wanted = [need_of(Draws(1), replace(session, number=number), 0, region) for number in range(1_500)]
    by_weight = sum(need.weight for need in region.needs if need.terms.cuisine == "Thai")
    assert sum(need.terms.cuisine == "Thai" for need in wanted) / len(wanted) > 1.2 * by_weight
    against = [need for need in region.needs if need.terms.diet == "keto"]
    assert taste_for(user, against[0]) < 0.2


@pytest.mark.parametrize("eta", [0.5, 1.0, 1.5])
def test_without_clicks_positions_are_examined_by_the_position_based_model(eta: float) -> None:
    """Only one dish attracts, so that no earlier click moves the examination: its click rate is the examination."""
    model = replace(PLAIN, eta=eta, attraction_satisfying=1.0, attraction_other=0.0, stop_after_click=0.0)
    for position in (1, 2, 5, 10):
        seen = visits(model, dishes(10), frozenset({f"d-{position}"}))
        rate = sum(bool(each.clicks) for each in seen) / MOMENTS
        assert rate == pytest.approx(0.98 * position**-eta, abs=0.03)


def test_after_a_click_examination_goes_by_the_distance_to_it() -> None:
    model = replace(PLAIN, attraction_satisfying=1.0, attraction_other=0.0, purchase=0.0, stop_after_click=0.0)
    seen = visits(model, dishes(10), frozenset({"d-4", "d-6"}))
    after = [each for each in seen if any(click.position == 4 for click in each.clicks)]
    both = sum(any(click.position == 6 for click in each.clicks) for each in after)
    assert both / len(after) == pytest.approx(0.98 / 2, abs=0.05)
    assert examination(model, 6, 4, 1.0) == 0.5
    assert examination(model, 4, 0, 2.0) == 0.5


def test_clicks_go_by_attraction() -> None:
    model = replace(PLAIN, stop_after_click=0.0)
    seen = visits(model, dishes(2), frozenset({"d-1"}))
    rate = sum(any(click.object_id == "d-1" for click in each.clicks) for each in seen) / MOMENTS
    assert rate == pytest.approx(0.6, abs=0.03)
    seen = visits(model, dishes(1))
    assert sum(bool(each.clicks) for each in seen) / MOMENTS == pytest.approx(0.1, abs=0.02)


def test_noise_clicks_need_no_attraction() -> None:
    seen = visits(replace(PLAIN, attraction_other=0.0, noise=0.2), dishes(1))
    assert sum(bool(each.clicks) for each in seen) / MOMENTS == pytest.approx(0.2, abs=0.02)
    assert all(click.noise and not click.satisfies for each in seen for click in each.clicks)


def test_only_what_satisfies_is_bought_and_that_at_the_rate() -> None:
    model = replace(PLAIN, attraction_other=0.6, purchase=0.45)
    seen = visits(model, dishes(1), frozenset({"d-1"}))
    clicked = [each for each in seen if each.clicks]
    assert sum(each.ordered is not None for each in clicked) / len(clicked) == pytest.approx(0.45, abs=0.03)
    assert all(each.ordered is None for each in visits(model, dishes(5)))


def test_users_search_again_at_their_rates_and_not_for_ever() -> None:
    model = replace(PLAIN, attraction_other=0.0, retry_unclicked=0.5)
    seen = visits(model, dishes(3))
    assert sum(each.retries for each in seen) / MOMENTS == pytest.approx(0.5, abs=0.03)
    last = visit(model, Draws(1), Moment(0, 0, 0, model.most_searches - 1), USER, [], frozenset(), lambda _id: 0.0)
    assert not last.retries
    assert not any(each.retries for each in seen if each.ordered)


def test_price_rating_popularity_and_taste_attract() -> None:
    (dish,) = dishes(1)

    def attracts(other: Dish = dish, user: User = USER, popularity: float = 0.0) -> float:
        return attraction(PLAIN, user, other, satisfies=True, popularity=popularity)

    thrifty = replace(USER, thrift=1.0)
    assert attracts(replace(dish, price=30.0), thrifty) < attracts(replace(dish, price=5.0), thrifty) < attracts()
    assert attracts(replace(dish, rating=3.5)) < attracts() < attracts(replace(dish, rating=5.0))
    assert attracts() < attracts(popularity=1.0)
    assert attracts() < attracts(user=replace(USER, favourites=frozenset({"Thai"})))
    popularity = popularity_of({"a": 4, "b": 1}, 4)
    assert [popularity(each) for each in "abc"] == [1.0, 0.25, 0.0]
    assert popularity_of({}, 0)("a") == 0.0


def test_two_arms_draw_the_same_for_a_position_and_for_a_dish() -> None:
    """Another order of the same page: who is shown what they like at the same position does the same."""
    page, satisfying = dishes(10), frozenset({"d-3", "d-7"})
    swapped = [page[1], page[0], *page[2:]]
    model = replace(PLAIN, attraction_other=0.0)
    assert visits(model, page, satisfying) == visits(model, swapped, satisfying)
    moved = visits(model, [page[2], *page[:2], *page[3:]], satisfying)
    before = visits(model, page, satisfying)
    clicked_low = {i for i, each in enumerate(before) if any(c.object_id == "d-3" for c in each.clicks)}
    clicked_top = {i for i, each in enumerate(moved) if any(c.object_id == "d-3" for c in each.clicks)}
    assert clicked_low < clicked_top

"""What users want and how they say it: true sets, kinds, frequencies, and that nothing held out appears."""

from __future__ import annotations

import hashlib
import math
import random
from collections import Counter

import pytest
from iterqr_benchmarks.catalog import WorldDataError
from iterqr_benchmarks.marketplace.draws import Draws
from iterqr_benchmarks.marketplace.language import KIND_SHARES, Language, held_out
from iterqr_benchmarks.marketplace.lexicon import load_lexicon, parse_names
from iterqr_benchmarks.marketplace.market import BANDS, Market, RegionMarket, frequency_band
from iterqr_benchmarks.marketplace.mistakes import MISTAKES, misspell, neighbours
from iterqr_benchmarks.marketplace.needs import KIND_SHARES as NEED_SHARES
from iterqr_benchmarks.marketplace.needs import Need
from iterqr_benchmarks.queries import load_queries, normalized
from support.scripted_market import SMALL_WORLD, small_market


@pytest.fixture(scope="module")
def region() -> RegionMarket:
    return small_market().region("north")


def need(region: RegionMarket, key: str) -> Need:
    return region.by_id[f"{region.name}/{key}"]


def texts(region: RegionMarket, key: str, kind: str) -> set[str]:
    return {phrase.text for phrase in region.phrases(need(region, key)) if phrase.kind == kind}


def test_lexicons_have_breadth() -> None:
    lexicon = load_lexicon()
    assert lexicon.size() > 1_000
    for names in (lexicon.synonyms, lexicon.colloquial, lexicon.foreign):
        assert len(names["dish"]) > 80
        assert all(names.values())
    assert len(lexicon.scenes) > 20
    assert len(lexicon.ambiguous) > 20


def test_lexicons_name_only_what_the_catalog_has() -> None:
    with pytest.raises(WorldDataError, match=r"x\.toml: \[dish\] names what the catalog does not have: \['pad-tai'\]"):
        parse_names("x.toml", {"dish": {"pad-tai": ["pad"]}})
    with pytest.raises(WorldDataError, match="unknown sections"):
        parse_names("x.toml", {"drink": {}})
    with pytest.raises(WorldDataError, match=r"dish\.pho lists a phrase twice"):
        parse_names("x.toml", {"dish": {"pho": ["soup", "soup"]}})


def test_every_need_has_a_true_set_that_its_predicate_makes(region: RegionMarket) -> None:
    for each in random.Random(1).sample(region.needs, 200):
        satisfying = region.satisfying(each)
        assert satisfying
        assert satisfying == {d.dish_id for d in region.shelf.dishes if each.satisfied_by.holds(d)}


def test_needs_are_of_every_kind_in_their_shares(region: RegionMarket) -> None:
    assert sum(each.weight for each in region.needs) == pytest.approx(1.0)
    for kind, share in NEED_SHARES.items():
        assert sum(each.weight for each in region.needs if each.kind == kind) == pytest.approx(share)


def test_needs_fall_by_zipfs_law_within_a_kind(region: RegionMarket) -> None:
    weights = sorted((each.weight for each in region.needs if each.kind == "dish"), reverse=True)
    assert math.log(weights[0] / weights[99]) / math.log(100) == pytest.approx(1.4, abs=0.01)


def test_price_needs_are_met_by_the_cheaper_ones_only(region: RegionMarket) -> None:
    for each in (each for each in region.needs if each.kind == "price"):
        most = each.terms.price_max
        assert all(region.shelf.by_id[found].price <= most for found in region.satisfying(each))


def test_a_dish_is_said_in_every_way(region: RegionMarket) -> None:
    assert texts(region, "dish/pepperoni-pizza", "exact") == {"pepperoni pizza"}
    assert "salami pizza" in texts(region, "dish/pepperoni-pizza", "synonym")
    assert "roni pizza" in texts(region, "dish/pepperoni-pizza", "colloquial")
    assert "pizza mit salami" in texts(region, "dish/pepperoni-pizza", "foreign")
    assert "noodles" in texts(region, "dish/chow-mein", "ambiguous")
    assert "chinese" in texts(region, "dish/chow-mein", "under_specified")
    assert texts(region, "dish/chow-mein", "over_specified")
    for mistake in MISTAKES:
        assert texts(region, "dish/pepperoni-pizza", mistake)
    assert "something warm for a sore throat" in texts(region, "scene/sore-throat", "scene")


def test_phrases_of_a_need_are_different_and_their_shares_add_up(region: RegionMarket) -> None:
    for each in random.Random(2).sample(region.needs, 300):
        phrases = region.phrases(each)
        assert sum(phrase.share for phrase in phrases) == pytest.approx(1.0)
        assert len({phrase.text for phrase in phrases}) == len(phrases)


def test_nothing_of_the_demos_query_sets_is_ever_said() -> None:
    forbidden = {normalized(each.query) for each in load_queries("heldout")}
    assert forbidden <= held_out()
    market = small_market()
    for name in market.regions:
        region = market.region(name)
        said = {normalized(phrase.text) for each in region.needs for phrase in region.phrases(each)}
        assert not said & forbidden


def test_the_same_seed_says_the_same_whatever_was_asked_before(region: RegionMarket) -> None:
    language = Language(load_lexicon(), Draws(SMALL_WORLD.seed), 2.0)
    sample = random.Random(3).sample(region.needs, 50)
    assert [language.phrases(each) for each in reversed(sample)] == [region.phrases(each) for each in reversed(sample)]


def test_needs_and_phrases_are_these_very_ones() -> None:
    """Past runs are of this language: change the digest only together with lexicons or shares."""
    region = Market(SMALL_WORLD).region("east")
    digest = hashlib.sha256()
    for each in region.needs:
        digest.update(f"{each.need_id} {each.weight:.9f} ".encode())
        digest.update("|".join(f"{p.text}/{p.kind}/{p.share:.9f}" for p in region.phrases(each)).encode())
    assert digest.hexdigest() == "0dde9da57862a84c659791274d523ae10b95510138f7688e5dc57558bdb63cbd"


def test_most_distinct_queries_are_tail_while_half_of_the_searches_repeat(region: RegionMarket) -> None:
    rng = random.Random(4)
    said: Counter[str] = Counter()
    bands: dict[str, str] = {}
    for _ in range(2_000):
        wording = region.wording_at(region.need_at(rng.random()), rng.random())
        said[wording.phrase.text] += 1
        bands[wording.phrase.text] = wording.band
    distinct = Counter(bands.values())
    assert distinct["tail"] / len(said) > 0.5
    assert distinct["head"] / len(said) < 0.1
    assert len(said) < 1_000
    assert sum(count for text, count in said.items() if bands[text] == "head") > 0.2 * 2_000


def test_kinds_are_said_in_their_shares(region: RegionMarket) -> None:
    rng = random.Random(5)
    pizza = need(region, "dish/pepperoni-pizza")
    present = {phrase.kind for phrase in region.phrases(pizza)}
    counts = Counter(region.wording_at(pizza, rng.random()).phrase.kind for _ in range(20_000))
    total = sum(KIND_SHARES[kind] for kind in present)
    for kind in present:
        assert counts[kind] / 20_000 == pytest.approx(KIND_SHARES[kind] / total, abs=0.015)


def test_bands_have_their_limits() -> None:
    assert [frequency_band(share) for share in (0.005, 0.00499, 0.0005, 0.00049)] == ["head", "torso", "torso", "tail"]
    assert set(BANDS) == {"head", "torso", "tail"}


def test_keyboard_mistakes_are_of_neighbouring_keys() -> None:
    assert set(neighbours("g")) == set("fhtyvb")
    assert set(neighbours("q")) == set("wa")
    rng = random.Random(6)
    for _ in range(200):
        wrong = misspell(rng, "lasagna", "keyboard")
        assert wrong[0] == "l"
        assert len(wrong) in (7, 8)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_in_one_word_and_leaves_short_words_alone(mistake: str) -> None:
    rng = random.Random(7)
    assert misspell(rng, "a bao", mistake) == "a bao"  # type: ignore[arg-type]
    changed = 0
    for _ in range(100):
        before, after = "chicken noodle soup", misspell(rng, "chicken noodle soup", mistake)  # type: ignore[arg-type]
        changed += before != after
        assert sum(a != b for a, b in zip(before.split(), after.split(), strict=True)) <= 1
    assert changed > 80

"""Hints as documents: titles of objects, and what is refused."""

from __future__ import annotations

import pytest
from iterqr_training.errors import SettingError
from iterqr_training.signals.hints_index import ClickedTitle, HintDocument, HintRow, HintsTarget, hint_documents


def test_titles_by_clicks_then_by_name() -> None:
    rows = [HintRow("north", "pad tai", object_id, clicks, 3) for object_id, clicks in (("a", 4), ("b", 9), ("c", 4))]
    (document,) = hint_documents(rows, {"a": "Zoodles", "b": "Pad Thai", "c": "Curry"}, max_titles=8)
    assert [each.title for each in document.titles] == ["Pad Thai", "Curry", "Zoodles"]
    assert document.body() == {
        "region": "north",
        "query": "pad tai",
        "titles": [
            {"title": "Pad Thai", "clicks": 9, "clients": 3},
            {"title": "Curry", "clicks": 4, "clients": 3},
            {"title": "Zoodles", "clicks": 4, "clients": 3},
        ],
        "clicks": 17,
    }


def test_objects_of_one_title_are_one_and_their_clients_are_not_added() -> None:
    rows = [HintRow("north", "pad tai", "a", 4, 3), HintRow("north", "pad tai", "b", 6, 5)]
    documents = list(hint_documents(rows, {"a": "Pad Thai", "b": " Pad Thai "}, max_titles=8))
    assert documents == [HintDocument("north", "pad tai", (ClickedTitle("Pad Thai", 10, 5),))]


def test_only_the_most_clicked_stay() -> None:
    rows = [HintRow("north", "soup", str(number), number, 3) for number in range(1, 20)]
    (document,) = hint_documents(rows, {str(number): f"Soup {number}" for number in range(1, 20)}, max_titles=2)
    assert [each.title for each in document.titles] == ["Soup 19", "Soup 18"]


def test_what_the_catalog_does_not_have_is_left_out() -> None:
    rows = [
        HintRow("north", "soup", "gone", 9, 3),
        HintRow("south", "soup", "a", 2, 3),
        HintRow("south", "x", "b", 2, 3),
    ]
    documents = list(hint_documents(rows, {"a": "Soup", "b": " "}, max_titles=8))
    assert documents == [HintDocument("south", "soup", (ClickedTitle("Soup", 2, 3),))]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"alias": "hints-*"}, "alias is 'hints-*', and must be one name without wildcards"),
        ({"catalog": "a,b"}, "catalog is 'a,b', and must be one name without wildcards"),
        ({"title_field": ""}, "title_field is '', and must be one name without wildcards"),
    ],
)
def test_targets_that_are_not_one_name_are_refused(changes: dict[str, str], complaint: str) -> None:
    with pytest.raises(SettingError) as refused:
        HintsTarget(**changes)  # type: ignore[arg-type]
    assert str(refused.value) == complaint

"""Which texts may name a person."""

import pytest
from iterqr_training.labels.personal_data import personal_data


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("pizza for Ann@example.com", "an e-mail address"),
        ("call +49 (171) 555-0123", "a long number"),
        ("4111 1111 1111 1111", "a long number"),
        ("٠٥٥ ١٢٣ ٤٥٦٧", "a long number"),
        ("see www.example.com/menu", "an address in the web"),
        ("noodles to 221b Baker Street", "an address"),
        ("12 old mill road sushi", "an address"),
        ("deliver to apt 4", "an address"),
        ("Hauptstraße 12", "an address"),
        ("pizza calle mayor 7", "an address"),
        ("p.o. box 12", "an address"),
    ],
)
def test_personal(text: str, found: str) -> None:
    assert personal_data(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "pad thai",
        "2 large pizzas",
        "7up 1.5l",
        "street food",
        "12 piece bucket",
        "number 42",
        "flat white",
        "麺 2",
    ],
)
def test_harmless(text: str) -> None:
    assert personal_data(text) is None

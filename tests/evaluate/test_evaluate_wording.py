"""Numbers are short and exact enough."""

import pytest

from delivery.documents.numbers import percent, short


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (66.932, "66.93"),
        (0.87139, "0.8714"),
        (12345.6, "12,346"),
        (-3.5, "-3.5"),
        (100.0, "100"),
        (0.00001234, "1.23e-05"),
        (999.96, "1000"),
    ],
)
def test_a_number_has_about_four_digits(value, text):
    assert short(value) == text


@pytest.mark.parametrize(
    ("share", "text"), [(0.046, "4.6 %"), (0.5, "50 %"), (0.0072, "0.72 %"), (0, "0 %"), (12.5, "1,250 %")]
)
def test_a_share_is_a_percentage(share, text):
    assert percent(share) == text

"""A table of prices: exact, and nothing made up."""

from decimal import Decimal

import pytest

from tenure.errors import Invalid
from tenure.model.prices import FIELD, money, read_prices

TABLE = '{"currency": "eur", "tiers": {"hot": {"gb_month": 0.1, "puts_1000": "0.005"}, "cold": {}}}'


def test_costs_are_exact():
    prices = read_prices(TABLE)
    assert prices.month("hot", 3 * 10**9) == Decimal("0.3")
    assert prices.day("hot", 365 * 10**9) == Decimal("1.2")
    assert money(prices.month("hot", 1)) == "0.000000"
    assert prices.month("cold", 10) is None
    assert prices.month("archive", 10) is None
    assert prices.shown() == {
        "currency": "EUR",
        "tiers": {"hot": {"gb_month": "0.1", "puts_1000": "0.005"}, "cold": {}},
    }


def test_requests_cost_what_there_are_prices_for():
    prices = read_prices(
        '{"currency": "EUR", "tiers": {"cold": {"puts_1000": "5", "gb_retrieved": "0.01"},'
        ' "archive": {"restores_1000": "50"}, "hot": {"gb_month": 1}}}'
    )
    asked = {"puts": 3, "gets": 2000, "restores": 4, "retrieved": 5 * 10**8}
    assert prices.requests("cold", **asked) == Decimal("0.02")
    assert prices.requests("archive", **asked) == Decimal("0.2")
    assert prices.requests("hot", **asked) is None


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("{", "prices"),
        ("[]", "prices"),
        ('{"currency": "EUR", "tiers": {"hot": {}}, "vat": 1}', "prices"),
        ('{"tiers": {"hot": {}}}', "currency"),
        ('{"currency": "EUR", "tiers": {}}', "tiers"),
        ('{"currency": "EUR", "tiers": {"warm": {}}}', "tiers"),
        ('{"currency": "EUR", "tiers": {"hot": {"month": 1}}}', "tiers.hot"),
        ('{"currency": "EUR", "tiers": {"hot": {"gb_month": -1}}}', "tiers.hot.gb_month"),
        ('{"currency": "EUR", "tiers": {"hot": {"gb_month": "NaN"}}}', "tiers.hot.gb_month"),
        ('{"currency": "EUR", "tiers": {"hot": {"gb_month": true}}}', "tiers.hot.gb_month"),
    ],
)
def test_a_wrong_table_names_its_member(text, where):
    with pytest.raises(Invalid) as refused:
        read_prices(text)
    assert refused.value.field == FIELD
    assert (refused.value.rule or "").startswith(f"{where}: ")

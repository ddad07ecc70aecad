"""What storage costs, by a table that the operator gives. Pure; decimal arithmetic; nothing is assumed.

    {"currency": "EUR", "tiers": {"cold": {"gb_month": "0.0125", "puts_1000": "0.01"}, …}}

A GB is 10⁹ bytes, as S3 bills it. A month is 365/12 days.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from tenure.errors import Invalid
from tenure.model.layers import STORED
from tenure.model.lifetime import Tier

FIELD: Final = "TENURE_PRICES"
GB: Final = 10**9
DAYS_A_YEAR: Final = 365
KINDS: Final = ("gb_month", "puts_1000", "gets_1000", "restores_1000", "gb_retrieved")
HOW: Final = (
    "No prices are set, so costs are not shown: give TENURE_PRICES a table of prices (docs/storage.md)."
)
_CURRENCY: Final = 3
_CENTS: Final = Decimal("0.000001")
_MOST: Final = 10**9


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices by tier and kind; what is not given is not counted."""

    currency: str
    tiers: Mapping[Tier, Mapping[str, Decimal]]

    def month(self, tier: Tier, size: int) -> Decimal | None:
        """What bytes cost that lie in a tier for a month; None without a price."""
        price = self.tiers.get(tier, {}).get("gb_month")
        return None if price is None else price * size / GB

    def day(self, tier: Tier, size: int) -> Decimal | None:
        """The same for a day."""
        month = self.month(tier, size)
        return None if month is None else month * 12 / DAYS_A_YEAR

    def requests(self, tier: Tier, *, puts: int, gets: int, restores: int, retrieved: int) -> Decimal | None:
        """What requests cost, and `retrieved` bytes: as far as there are prices; None without any."""
        given = self.tiers.get(tier, {})
        amounts = {
            "puts_1000": Decimal(puts) / 1000,
            "gets_1000": Decimal(gets) / 1000,
            "restores_1000": Decimal(restores) / 1000,
            "gb_retrieved": Decimal(retrieved) / GB,
        }
        costs = [given[kind] * amount for kind, amount in amounts.items() if kind in given]
        return sum(costs, Decimal(0)) if costs else None

    def shown(self) -> dict[str, Any]:
        """As it was given."""
        tiers = {
            tier: {kind: str(price) for kind, price in given.items()} for tier, given in self.tiers.items()
        }
        return {"currency": self.currency, "tiers": tiers}


def money(amount: Decimal) -> str:
    """An amount as text, rounded to a millionth."""
    return format(amount.quantize(_CENTS), "f")


def read_prices(text: str) -> Prices:
    """A table from JSON. Raises Invalid naming the member."""
    try:
        given = json.loads(text, parse_float=Decimal, parse_int=Decimal)
    except (ValueError, RecursionError):
        raise _wrong("prices", "JSON", "is not JSON") from None
    if not isinstance(given, dict) or set(given) - {"currency", "tiers"}:
        raise _wrong("prices", "currency and tiers", "has other members, or none")
    currency, tiers = given.get("currency"), given.get("tiers")
    if not isinstance(currency, str) or len(currency) != _CURRENCY or not currency.isascii():
        raise _wrong("currency", "three letters (ISO 4217)", "has no currency")
    if not isinstance(tiers, dict) or not tiers or set(tiers) - set(STORED):
        raise _wrong("tiers", f"some of {', '.join(STORED)}", "has no tiers, or unknown ones")
    return Prices(currency.upper(), {tier: _tier(tier, tiers[tier]) for tier in STORED if tier in tiers})


def _tier(tier: Tier, given: object) -> dict[str, Decimal]:
    if not isinstance(given, dict) or set(given) - set(KINDS):
        raise _wrong(f"tiers.{tier}", f"some of {', '.join(KINDS)}", "has an unknown kind of price")
    return {kind: _price(f"tiers.{tier}.{kind}", given[kind]) for kind in KINDS if kind in given}


def _price(where: str, given: object) -> Decimal:
    try:
        price = Decimal(given) if isinstance(given, str | Decimal) else Decimal("NaN")
    except InvalidOperation:
        price = Decimal("NaN")
    if not price.is_finite() or not 0 <= price <= _MOST:
        raise _wrong(where, "a number from 0, such as 0.0125", "has a price that is none")
    return price


def _wrong(where: str, rule: str, what: str) -> Invalid:
    return Invalid(
        f"The table of prices {what} ({where}); nothing was opened.",
        field=FIELD,
        rule=f"{where}: {rule}",
        remedy="Write it as docs/storage.md shows, or leave it out: then bytes are shown without prices.",
    )

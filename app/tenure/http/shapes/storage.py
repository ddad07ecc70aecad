"""What is stored and will be, what it costs, and what another retention would do."""

from typing import Literal

from pydantic import Field

from tenure.http.shapes.base import Shape, Time
from tenure.http.shapes.manifests import Change

_Tier = Literal["hot", "cold", "archive"]


class StoredTier(Shape):
    """What is in a tier. `written_*`: of it, what was written on the day before.

    `month`: what it costs if it stays for a month; `cost`: what it cost on that day. Only with prices.
    """

    tier: _Tier
    versions: int
    bytes: int
    written_versions: int
    written_bytes: int
    month: str | None = None
    cost: str | None = None


class StoredScope(StoredTier):
    """What is in a tier, of one scope."""

    scope: str


class AskedTier(Shape):
    """What was asked of the object store for packs. `retrieved`: bytes. `cost`: with prices of these only."""

    tier: _Tier
    puts: int
    gets: int
    restores: int
    retrieved: int
    cost: str | None = None


class AskedLately(Shape):
    """Of the last 30 days, `since` the first of them; of the tiers of which nothing was asked nothing."""

    since: str | None
    tiers: list[AskedTier]


class StoredDay(Shape):
    """One day."""

    day: str
    tiers: list[StoredTier]
    items: list[StoredScope]
    requests: list[AskedTier]


class PriceTable(Shape):
    """Prices as the operator gave them: tier → kind → price. A GB is 10⁹ bytes.

    Kinds are `gb_month`, and of requests `puts_1000`, `gets_1000`, `restores_1000` and `gb_retrieved`.
    """

    currency: str
    tiers: dict[str, dict[str, str]]


class Storage(Shape):
    """What is stored, as of `at`: the last count, or now. `days` only if they were asked for.

    `gaps` are days that nobody counted. `items` are by scope and tier; of the cell there are only `tiers`.
    """

    at: Time | None
    complete: bool
    tiers: list[StoredTier]
    items: list[StoredScope]
    requests: AskedLately
    days: list[StoredDay] | None = None
    gaps: list[str] | None = None
    prices: PriceTable | None = None
    notes: list[str]


class Amount(Shape):
    """Versions, and bytes of their ciphertext."""

    versions: int
    bytes: int


class ForecastPoint(Shape):
    """Bytes at the end of a day; of the first, as they are."""

    day: str
    hot: int
    cold: int
    archive: int


class ForecastCourse(Shape):
    """Day by day. `unknown`: what lies under rules that count from an access or an event.

    `cost`: of all the days ahead, with prices only.
    """

    points: list[ForecastPoint]
    unknown: Amount
    cost: str | None = None


class Forecast(Shape):
    """What will be stored under the retention that holds, and beside it under a proposed one."""

    at: Time
    complete: bool
    current: ForecastCourse
    proposed: ForecastCourse | None = None
    requests: AskedLately
    prices: PriceTable | None = None
    notes: list[str]


class RetentionMove(Shape):
    """Versions that would be elsewhere: at once, and later. `rule`: which moves them, or did until now."""

    scope: str
    categories: list[str]
    rule: str
    was: Literal["hot", "cold", "archive", "gone"] = Field(alias="from")
    to: Literal["hot", "cold", "archive", "gone"]
    now: Amount
    later: Amount


class Tiers(Shape):
    """How much would be where."""

    hot: Amount
    cold: Amount
    archive: Amount
    gone: Amount


class TiersCompared(Shape):
    """What is touched and known, by tier, under the rules that hold and the proposed ones."""

    current: Tiers
    proposed: Tiers


class RetentionPreview(Shape):
    """What proposed Retention manifests would do, compared with those that hold, as of the count `at`.

    `touched`: what lies under rules that change; `unknown`: of it, what counts from an access or an event.
    `later`: after `within`. `holds`: how many are active.
    """

    changes: list[Change]
    policy: str
    within: str
    at: Time
    complete: bool
    moves: list[RetentionMove]
    left_out: int
    touched: Amount
    unknown: Amount
    now: TiersCompared
    later: TiersCompared
    holds: int
    entry: str
    notes: list[str]

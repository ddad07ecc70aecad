"""Lengths of time in manifests: whole hours, days or weeks, such as `12h`, `30d`, `4w`.

Months and years are no unit: they have no fixed length, and a legal minimum must not fall a day short. Two
spellings of one length are one value: inside it is hours, outside days where it is whole days.
"""

import re

HOURS_OF = {"h": 1, "d": 24, "w": 7 * 24}
DAYS_MAX = 36_525
"""A hundred years."""
FORM = r"[1-9][0-9]{0,5}[hdw]"

_FORM = re.compile(rf"{FORM}\Z")


def parse_duration(text: object) -> int | None:
    """Hours, or None for what is not a length of at most a hundred years."""
    if not isinstance(text, str) or not _FORM.match(text):
        return None
    hours = int(text[:-1]) * HOURS_OF[text[-1]]
    return hours if hours <= DAYS_MAX * 24 else None


def duration(hours: int) -> str:
    """The one spelling of a length: days if it is whole days, else hours."""
    days, rest = divmod(hours, 24)
    return f"{hours}h" if rest else f"{days}d"

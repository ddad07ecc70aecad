"""Ids from outside: what cannot be one is answered as an unknown one, and never reaches the store."""

from tenure.errors import NotFound
from tenure.ids import is_id


def check_id(text: str, what: str, field: str = "id") -> str:
    """The id, if it has the form of one. Raises NotFound."""
    if not is_id(text):
        raise NotFound(
            f"There is no such {what}; nothing was done.",
            field=field,
            rule="an id that this service gave out",
            remedy="Send the id exactly as it was returned.",
        )
    return text

"""Tenure: governed context for AI agents.

`tenure.open(…)` gives a client of a cell, wherever that is; `tenure.client` is what customers import.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tenure.opening import open_async
    from tenure.opening import open_client as open  # noqa: A004 - `tenure.open`, as `gzip.open` is

__version__ = "0.1.0"
__all__ = ["__version__", "open", "open_async"]
_OPENING = {"open": "open_client", "open_async": "open_async"}


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever has the name
    """Import the service's side only when a client is opened (PEP 562)."""
    if name not in _OPENING:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tenure import opening  # noqa: PLC0415 - see above

    return getattr(opening, _OPENING[name])

"""Plain files that ship with Tenure: the Casbin model, built-in rules, templates and migrations.

In a checkout they are top-level folders that people read; in an installed wheel they lie inside the
package.
"""

from functools import cache
from pathlib import Path

_PACKAGE = Path(__file__).parent
_CHECKOUT = _PACKAGE.parent.parent


def folder(name: str) -> Path:
    """The folder `policies` or `migrations`, wherever this installation has it."""
    packaged = _PACKAGE / f"_{name}"
    return packaged if packaged.is_dir() else _CHECKOUT / name


@cache
def policy_model() -> str:
    """The Casbin model."""
    return (folder("policies") / "model.conf").read_text("utf-8")


@cache
def schema(name: str) -> bytes:
    """The JSON Schema of a kind, in lower case, or of any `manifest`."""
    return (folder("policies") / "schemas" / f"{name}.json").read_bytes()


@cache
def builtin_rules() -> str:
    """The rules of the built-in roles."""
    return (folder("policies") / "builtin.csv").read_text("utf-8")

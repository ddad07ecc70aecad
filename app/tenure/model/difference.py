"""What one manifest says and another does not, as a unified diff of their one YAML spelling."""

from difflib import unified_diff

from tenure.model.manifests import Manifest
from tenure.model.yaml_text import to_yaml


def difference(before: Manifest | None, after: Manifest | None) -> str:
    """A unified diff; None stands for a manifest that is not there. Empty if they say the same."""
    one = before or after
    if one is None:
        return ""
    name = f"{one.kind}/{one.name}"
    old, new = ("declared/" if before else "/dev/null"), ("given/" if after else "/dev/null")
    lines = unified_diff(
        _lines(before),
        _lines(after),
        fromfile=old + name if before else old,
        tofile=new + name if after else new,
    )
    return "".join(lines)


def _lines(manifest: Manifest | None) -> list[str]:
    return [] if manifest is None else to_yaml([manifest.canonical()]).splitlines(keepends=True)

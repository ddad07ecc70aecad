"""Residue: are these values still in those files? For any folder, file or dump, ours or not.

`scan(paths, values)` reads every byte once and says "clean" only when it could look everywhere. What it
looks for is in `spellings.py`, what it looks inside of in `containers.py`; `docs/residue.md` tells a person
the same.

Needs `tenure[residue]`: the search and Zstandard are libraries that the bare client does not have.
"""

from tenure.residue.report import Finding, Gap, ResidueReport
from tenure.residue.scan import Limits, scan
from tenure.residue.values import Value, parse_values

__all__ = ["Finding", "Gap", "Limits", "ResidueReport", "Value", "parse_values", "scan"]

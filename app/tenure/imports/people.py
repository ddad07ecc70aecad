"""Tables of people: whom a thread, a user or a case is about, in a CSV file."""

import csv
from collections.abc import Mapping
from pathlib import Path

from tenure.errors import Invalid

Table = Mapping[str, tuple[str, ...]]


def read_table(path: Path, field: str) -> Table:
    """The subjects by what is in the first column. A row each; something in several rows has several.

    The first line names the columns, one of them `subject`. Raises Invalid naming the line, never a value.
    """
    found: dict[str, dict[str, None]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.reader(file, strict=True)
            names = next(rows, [])
            if len(names) < 2 or "subject" not in names[1:]:  # noqa: PLR2004 - what it is asked by, and subject
                raise _wrong(field, 1, "a first line such as thread_id,subject")
            column = names.index("subject", 1)
            for row in rows:
                if not row:
                    continue
                if len(row) != len(names) or not row[0] or not row[column]:
                    raise _wrong(field, rows.line_num, "a value in every column")
                found.setdefault(row[0], {})[row[column]] = None
    except OSError:
        raise Invalid(
            "The table of subjects cannot be read. Nothing was imported.",
            field=field,
            rule="a CSV file; its path is taken from the mapping's folder",
            remedy="Correct the path.",
        ) from None
    except (UnicodeDecodeError, csv.Error):
        raise _wrong(field, None, "CSV in UTF-8") from None
    return {key: tuple(people) for key, people in found.items()}


def _wrong(field: str, line: int | None, rule: str) -> Invalid:
    return Invalid(
        f"The table of subjects{f', line {line}' if line else ''}: it wants {rule}. Nothing was imported.",
        field=field,
        rule=rule,
        remedy="Correct the table.",
        line=line,
    )

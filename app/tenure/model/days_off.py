"""Whose public holidays a Controller may name: those that the calendar knows.

Asked of what is declared now, never of what was declared before: another version of the package `holidays`
may know other regions, and a stored configuration stays readable (`rights.clock` says what then counts).
"""

from collections.abc import Iterable
from typing import cast

from tenure.model.controller import ControllerSpec
from tenure.model.manifests import Manifest, invalid
from tenure.model.workdays import knows

_AT = ("spec", "requests", "holidays")


def check_holidays(manifests: Iterable[Manifest], *, given: bool = True) -> None:
    """Raise `Invalid` for a Controller that names a region whose holidays nobody could count.

    `given`: the field is told by the manifest's place in what was given; otherwise by its kind and name.
    """
    for index, manifest in enumerate(manifests):
        if manifest.kind != "Controller":
            continue
        region = cast("ControllerSpec", manifest.spec).on_requests.holidays
        if region is not None and not knows(region):
            place = f"manifests[{index}]" if given else f"{manifest.kind}/{manifest.name}"
            raise invalid(
                f"{place}.{'.'.join(_AT)}",
                f"the public holidays of {region} are not known",
                rule="holidays",
                remedy="Write a country or a part of one (ISO 3166) that the package `holidays` knows, such"
                " as `DE`, `DE-BE` or `US-CA`; or leave `holidays` out: no public holidays count then.",
                source=manifest.source,
                at=_AT,
                owner=f"{manifest.kind} {manifest.name}",
            )

"""A lifetime in sentences, for the answer to "why is this still here?"."""

from tenure.ids import rfc3339
from tenure.model.cohorts import Anchor
from tenure.model.durations import duration
from tenure.model.lifetime import EXPIRES_AT, Course, Due, Lifetime

LATER = "31 days"
"""The longest period of cohorts, and the look after it."""
BESIDE = "with what was written about the same time"
OLD = "It was written before there were cohorts, and no key of it can be destroyed by these rules: it stays."


def words(found: Lifetime, now: int) -> list[str]:
    """Sentences, the answer first."""
    said = [_end(found)]
    if found.holds:
        said.append("A hold keeps it: when its time is over it stays, and nobody reads it.")
    if (floor := found.floor) is not None and floor.at > now:
        said.append(f"Rule {floor.rule} keeps it until {rfc3339(floor.at)}{_law(found, floor)}.")
    said += [
        f"Rule {one.rule} keeps it without an end, for {_awaited(one)}."
        for one in found.courses
        if one.is_open
    ]
    said += [
        f"Rule {one.rule} takes nothing away, for {_awaited(one)}."
        for one in found.courses
        if one.began is None and not one.is_open
    ]
    for due, where in ((found.cold, "the object store"), (found.archive, "the archive")):
        if due is not None and due.at > now and (found.gone is None or due.at < found.gone.at):
            said.append(f"Rule {due.rule} moves it to {where} at {rfc3339(due.at)}.")
    return said


def together(cohort: Anchor | None, gone: Due | None) -> list[str]:
    """With what it goes, and when at the latest: `gone` of its whole cohort."""
    if cohort is None:
        return [OLD]
    if gone is None:
        return []
    before, after = rfc3339(cohort.ends), rfc3339(gone.at)
    return [f"It is shredded with what was written before {before}, at the first look after {after}."]


def _end(found: Lifetime) -> str:
    if found.gone is not None:
        because = _because(found, found.gone)
        return f"It goes at {rfc3339(found.gone.at)}, or up to {LATER} later, {BESIDE}: {because}."
    if found.ceiling is not None:
        return f"It would go at {rfc3339(found.ceiling.at)} ({_because(found, found.ceiling)}), but it stays."
    return "No rule says when it goes: it stays."


def _because(found: Lifetime, due: Due) -> str:
    if due.rule == EXPIRES_AT:
        return "its own expires_at"
    course = _course(found, due.rule)
    if found.ceiling is not None and due.at > found.ceiling.at:
        return f"rule {due.rule} forbids it before"
    length = duration(course.spec.delete_after or 0)
    return f"rule {due.rule}, deleteAfter {length} from {_clock(course)} {_at(course)}"


def _clock(course: Course) -> str:
    """What it began with. Of an access the time that follows is the latest that it can have been."""
    event = f"event {course.spec.event}"
    if course.counted_from == "write" and course.spec.clock != "write":
        return f"the write, after {event if course.spec.clock == 'event' else 'the last access'},"
    return {"write": "the write", "access": "the last access,", "event": event}[course.spec.clock]


def _at(course: Course) -> str:
    at = rfc3339(course.began or 0)
    return f"{at} at the latest" if course.counted_from == "access" else f"at {at}"


def _awaited(course: Course) -> str:
    if course.spec.clock == "access":
        return "the last access, with which it begins, is not known"
    whose = "to everybody whom it is about"
    return f"event {course.spec.event}, with which it begins, has not happened {whose}"


def _law(found: Lifetime, floor: Due) -> str:
    ground = _course(found, floor.rule).spec.ground
    return f" ({ground})" if ground else ""


def _course(found: Lifetime, rule: str) -> Course:
    return next(one for one in found.courses if one.rule == rule)

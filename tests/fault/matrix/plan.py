"""Which cases there are: every step with everything that may follow, or a cut that meets each of both."""

from collections.abc import Iterator, Sequence

from fault.matrix.cases import START, Case, Next
from support.durable import Step


def whole(kind: str, found: Sequence[Step], recovery: int, samples: int) -> list[Case]:
    """Every step with every follow-up, and the moment right before every step."""
    made: list[Case] = []
    for number, step in enumerate((START, *found)):
        if step != START:
            made.append(Case(kind, step, "before", Next.NOTHING))
        for following in Next:
            if following is Next.AGAIN:
                made += _again(kind, step, _spread(recovery - number, samples, number))
            else:
                made.append(Case(kind, step, "after", following))
    return made


def cut(kind: str, found: Sequence[Step], recovery: int, every: int = 1, shift: int = 0) -> list[Case]:
    """Of `every` steps only one, with the follow-ups in turn, so that each meets a good part of the steps.

    The two databases take different ones: most steps are the same on both. Each `shift` takes others, or
    others of the follow-ups.
    """
    made: list[Case] = []
    followers = list(Next)
    first = (shift + (every // 2 if kind == "postgresql" else 0)) % every
    for number, step in list(enumerate((START, *found)))[first::every]:
        following = followers[(number // every + shift) % len(followers)]
        if following is Next.AGAIN:
            made += _again(kind, step, _spread(recovery - number, 1, number))
        else:
            made.append(Case(kind, step, "after", following))
    return made


def steady(*runs: Sequence[Step]) -> list[Step]:
    """The steps that every run had: what happens in the background may fall together or not."""
    return [step for step in runs[0] if all(step in run for run in runs[1:])]


def _again(kind: str, step: Step, kills: Iterator[int]) -> list[Case]:
    return [Case(kind, step, "after", Next.AGAIN, kill) for kill in kills]


def _spread(upto: int, samples: int, shift: int) -> Iterator[int]:
    """Some of 1…upto, evenly apart and shifted from one call to the next."""
    upto = max(upto, 2)
    every = max(upto / samples, 1)
    for sample in range(min(samples, upto)):
        yield 1 + (int(sample * every) + shift) % upto

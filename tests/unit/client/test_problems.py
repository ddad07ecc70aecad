"""Whatever a service refuses, its caller learns what to mend: field, rule and remedy are never lost."""

from tenure.client.problems import _KINDS, error_of
from tenure.errors import Denied, Erased, RateLimited, TenureError

MEMBERS = {"field": "the field", "rule": "the rule", "remedy": "What to do."}


def document(kind, **members):
    return {"type": f"urn:tenure:problem:{kind}", "detail": "No.", **members}


def test_every_kind_keeps_what_to_mend():
    assert len(_KINDS) > 20
    for kind, error in _KINDS.items():
        found = error_of(document(kind, **MEMBERS))
        assert type(found) is error
        assert {name: getattr(found, name) for name in MEMBERS} == MEMBERS, kind


def test_what_only_a_kind_has_is_there_too():
    erased = error_of(document("erased", certificate="c", shred="s"))
    assert isinstance(erased, Erased)
    assert (erased.rule, erased.certificate, erased.shred) == ("erased", "c", "s")
    denied = error_of(document("denied", entry="e", rules=["r"], rule="restricted"))
    assert isinstance(denied, Denied)
    assert (denied.entry, denied.rules, denied.rule) == ("e", ("r",), "restricted")
    limited = error_of(document("rate-limited", limit="requests", retry_after=7))
    assert isinstance(limited, RateLimited)
    assert (limited.limit, limited.retry_after) == ("requests", 7)
    assert type(error_of(document("of-tomorrow", **MEMBERS))) is TenureError

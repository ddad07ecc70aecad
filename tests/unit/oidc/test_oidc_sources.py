"""When an issuer's keys are fetched, and how long they hold when it does not answer. The clock is ours."""

import asyncio
import json
import threading
from dataclasses import replace
from itertools import pairwise

import pytest

from tenure.errors import Unavailable
from tenure.model.issuer import Issuer, is_asked, is_here
from tenure.oidc import sources
from tenure.oidc.sources import GAP_S, MAX_AGE_S, MAX_GAP_S, MAX_STALE_S, KeySources
from tenure.outbound import NoAnswer
from unit.oidc.test_oidc_claims import URL, ec_jwk, ed_jwk

ISSUER = Issuer("id-1", "main", URL, "a")
DISCOVERY, JWKS = f"{URL}/.well-known/openid-configuration", f"{URL}/keys"


class Net:
    """What the issuer answers, and how often it was asked; and the clock."""

    def __init__(self):
        self.keys = [ec_jwk()]
        self.document = {"issuer": URL, "jwks_uri": JWKS}
        self.down = False
        self.takes = 0.0
        self.more = {}
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.asked = []
        self.now = 100.0

    def fetch(self, url):
        self.asked.append(url)
        assert self.may_answer.wait(60)
        self.now += self.takes / 2
        if self.down:
            raise NoAnswer
        return json.dumps({DISCOVERY: self.document, JWKS: {"keys": self.keys}, **self.more}[url]).encode()


def run(story, **how):
    """A story over fresh sources."""

    async def whole():
        net = Net()
        made = KeySources(net.fetch, lambda: net.now, **how)
        try:
            await story(net, lambda kid="ec", alg="ES256", issuer=ISSUER: made.key(issuer, kid, alg))
        finally:
            net.may_answer.set()
            made.close()

    asyncio.run(whole())


def test_found_by_discovery_and_kept():
    async def story(net, key):
        assert await key() is not None
        assert net.asked == [DISCOVERY, JWKS]
        net.now += MAX_AGE_S - 1
        assert await key() is not None
        assert len(net.asked) == 2
        net.now += 1
        assert await key() is not None
        assert net.asked == [DISCOVERY, JWKS] * 2

    run(story)


def test_many_who_wait_wait_for_one_fetch():
    async def story(net, key):
        found = await asyncio.gather(*(key() for _ in range(20)), *(key("ed", "EdDSA") for _ in range(20)))
        assert [one is not None for one in found] == [True] * 20 + [False] * 20
        assert net.asked == [DISCOVERY, JWKS]

    run(story)


def test_a_rotation_is_seen_at_once_but_not_oftener_than_it_may_be():
    async def story(net, key):
        await key()
        net.now += GAP_S
        net.keys = [ed_jwk()]
        assert await key("ed", "EdDSA") is not None
        assert await key("ec", "ES256") is None, "what the issuer took back is gone"
        asked = len(net.asked)
        for n in range(50):
            assert await key(f"made-up-{n}") is None
        assert len(net.asked) == asked
        net.now += GAP_S
        assert await key("made-up") is None
        assert len(net.asked) == asked + 2

    run(story)


def test_old_keys_outlast_an_issuer_that_is_down_but_not_for_ever():
    async def story(net, key):
        await key()
        net.down = True
        net.now += MAX_STALE_S - 1
        assert await key() is not None
        assert len(net.asked) == 3, "it was asked before the old ones were used"
        assert await key() is not None
        assert len(net.asked) == 3, "and is left alone for a moment"
        net.now += 1
        with pytest.raises(Unavailable):
            await key()
        net.down, net.now = False, net.now + GAP_S
        assert await key() is not None

    run(story)


def test_who_has_its_key_does_not_wait_for_a_slow_issuer(monkeypatch):
    monkeypatch.setattr(sources, "_PATIENCE_S", 0.05)

    async def story(net, key):
        await key()
        net.keys = [ed_jwk()]
        net.now += MAX_AGE_S
        net.may_answer.clear()
        assert await key() is not None
        assert await key() is not None
        assert len(net.asked) == 3, "one fetch for all, and it is under way"
        waiting = asyncio.create_task(key("ed", "EdDSA"))
        await asyncio.sleep(0.2)
        assert not waiting.done(), "who does not have it waits for it"
        net.may_answer.set()
        assert await waiting is not None
        assert await key() is None, "what the issuer took back is gone"

    run(story)


def test_who_never_answers_is_asked_less_and_less():
    async def story(net, key):
        net.down = True
        tries = []
        for _ in range(600):
            before = len(net.asked)
            with pytest.raises(Unavailable):
                await key()
            if len(net.asked) > before:
                tries.append(net.now)
            net.now += 1
        gaps = [later - earlier for earlier, later in pairwise(tries)]
        assert gaps[:4] == [GAP_S, 2 * GAP_S, 4 * GAP_S, MAX_GAP_S]
        assert set(gaps[4:]) == {MAX_GAP_S}
        net.down, net.now = False, net.now + MAX_GAP_S
        assert await key() is not None
        net.now += GAP_S
        assert await key("another") is None
        assert len(net.asked) == len(tries) + 4, "all is forgiven"

    run(story)


def test_a_key_that_is_not_known_is_waited_for_while_its_issuer_does_not_answer():
    async def story(net, key):
        await key()
        net.down, net.keys, net.now = True, [ed_jwk()], net.now + GAP_S
        for _ in range(2):
            with pytest.raises(Unavailable):
                await key("ed", "EdDSA")
        assert await key() is not None, "who has its key goes on"

    run(story)


def test_who_is_slow_is_asked_as_much_more_seldom():
    async def story(net, key):
        net.takes = 5.0
        for n in range(300):
            await key(f"made-up-{n}")
            net.now += 1
        spent = net.takes * len(net.asked) / 2
        assert spent <= 0.15 * (300 + spent), "a tenth of a thread, and the first fetch"

    run(story)


def test_what_was_not_used_for_longest_makes_room():
    places = [replace(ISSUER, jwks_uri=f"{URL}/{n}") for n in range(3)]

    async def story(net, key):
        net.more = {one.jwks_uri: {"keys": net.keys} for one in places}
        for one in (places[0], places[1], places[0], places[2], places[0]):
            assert await key(issuer=one) is not None
        assert net.asked == [places[0].jwks_uri, places[1].jwks_uri, places[2].jwks_uri]

    run(story, kept=2)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://localhost",
            "https://localhost.",
            "https://a.localhost",
            "http://127.0.0.1:9",
            "https://127.9.9.9",
        ),
        *(
            "https://127.1",
            "https://2130706433",
            "https://[::1]",
            "https://[::ffff:127.0.0.1]",
            "https://0.0.0.0",
        ),
    ],
)
def test_this_machine_by_any_spelling(url):
    assert is_here(url)
    assert not is_asked(f"{url}/keys", of="https://issuer.example")


@pytest.mark.parametrize("url", ["https://issuer.example", "https://10.0.0.1", "https://localhost.example"])
def test_another_machine(url):
    assert not is_here(url)


def test_this_machine_is_asked_only_where_that_is_allowed():
    here = "http://127.0.0.1:9000"

    async def refused(net, key):
        for issuer in (Issuer("id-3", "main", here, "a"), Issuer("id-4", "main", here, "a", jwks_uri=here)):
            with pytest.raises(Unavailable):
                await key(issuer=issuer)
        assert net.asked == []

    run(refused)

    async def allowed(net, key):
        with pytest.raises(Unavailable):
            await key(issuer=Issuer("id-3", "main", here, "a"))
        assert net.asked == [f"{here}/.well-known/openid-configuration"]

    run(allowed, local=True)


def test_an_issuer_that_never_answered():
    async def story(net, key):
        net.down = True
        with pytest.raises(Unavailable) as caught:
            await key()
        assert URL not in str(caught.value)
        assert caught.value.retry_after == GAP_S

    run(story)


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": URL + "/", "jwks_uri": JWKS},
        {"issuer": "https://evil.example", "jwks_uri": JWKS},
        {"jwks_uri": JWKS},
        {"issuer": URL, "jwks_uri": "http://issuer.example/keys"},
        {"issuer": URL, "jwks_uri": "http://127.0.0.1/keys"},
        {"issuer": URL, "jwks_uri": "https://localhost/keys"},
        {"issuer": URL, "jwks_uri": "file:///etc/passwd"},
        {"issuer": URL, "jwks_uri": "https://a@issuer.example/keys"},
        {"issuer": URL, "jwks_uri": 7},
        {"issuer": URL},
        [],
    ],
    ids=repr,
)
def test_a_document_that_is_not_followed(document):
    async def story(net, key):
        net.document = document
        with pytest.raises(Unavailable):
            await key()
        assert net.asked == [DISCOVERY]

    run(story)


def test_keys_from_where_the_tenant_says():
    async def story(net, key):
        assert await key(issuer=Issuer("id-2", "main", URL, "a", jwks_uri=JWKS)) is not None
        assert net.asked == [JWKS]

    run(story)

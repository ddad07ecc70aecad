"""Which nouns a path belongs to is written down, so that a command reads only those."""

import re

from tenure.http import routes


def test_the_words_of_a_noun_are_those_of_its_paths():
    for noun, words in routes.NOUNS.items():
        paths = {path for handler in routes.handlers([noun]) for path in handler.paths}
        assert {routes.word_of(path) for path in paths} == set(words), noun


def test_every_handler_is_found_at_its_paths():
    for handler in routes.handlers():
        for path in handler.paths:
            filled = re.sub(r"{[^}]*}", "anything", path)
            assert handler in list(routes.handlers_at(filled)), path
            assert handler in list(routes.handlers_at(path)), path
            assert (handler in list(routes.handlers_at(f"{filled}/more/and/more"))) == (":path}" in path)


def test_what_a_path_may_mean_is_found_together():
    found = {handler.operation_id for handler in routes.handlers_at("/v1/manifests/Role")}
    assert "listManifests" in found
    assert not found & {"getManifest", "describeManifest", "applyManifests"}
    assert not list(routes.handlers_at("/v1/nothing"))
    assert not list(routes.handlers_at("/"))


def test_a_path_is_told_by_its_first_word_however_it_is_spelt():
    for path in (
        "/v1/manifests:apply",
        "/v1/manifests/Role",
        "//v1//manifests/",
        "/v1/manifests/Role/a:describe",
    ):
        assert routes.word_of(path) == "manifests"
    assert [routes.word_of(path) for path in ("/health/live", "/metrics", "/v1", "/", "")] == [
        "health",
        "metrics",
        "",
        "",
        "",
    ]

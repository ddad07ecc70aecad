"""Which nouns a path belongs to is written down, so that a command reads only those."""

from tenure.http import routes


def test_the_words_of_a_noun_are_those_of_its_paths():
    for noun, words in routes.NOUNS.items():
        paths = {path for handler in routes.handlers([noun]) for path in handler.paths}
        assert {routes.word_of(path) for path in paths} == set(words), noun


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

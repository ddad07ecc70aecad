import hashlib
import json
import pickle
import subprocess
import sys

import pytest
from policy_samples import BUILTIN, MODEL, TENANT, VECTORS, configuration, grant, request

from tenure.errors import Invalid, Malformed, Tampered
from tenure.model.configuration import Configuration
from tenure.model.manifests import parse_manifests
from tenure.policy.bundle import bundle, load_bundle


def plain_canonical(value):
    # RFC 8785 for text, lists and mappings with ASCII keys is this; nothing else occurs in a bundle.
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def test_the_frozen_bundle_is_made_byte_for_byte():
    vector = json.loads((VECTORS / "bundle-v1.json").read_text("utf-8"))
    whole = Configuration.empty().with_manifests(parse_manifests(vector["manifests"]))
    packed = bundle(whole, vector["model"], vector["builtin"])
    assert packed.digest == vector["digest"]
    second = plain_canonical(
        {
            "format": "tenure/policy-bundle/v1",
            "model": vector["model"],
            "builtin": vector["builtin"],
            "manifests": vector["canonical"],
        }
    )
    assert packed.data == second
    assert vector["digest"] == "sha256:" + hashlib.sha256(second).hexdigest()


def test_the_digest_does_not_depend_on_how_the_manifests_were_written_or_ordered():
    one = configuration(grant("a", actions=["read", "write"]), grant("b", purposes=["quality", "marketing"]))
    other = configuration(
        grant("b", purposes=["marketing", "quality"]), grant("a", actions=["write", "read"])
    )
    assert bundle(one, MODEL, BUILTIN) == bundle(other, MODEL, BUILTIN)
    assert one.digest() == other.digest()


@pytest.mark.parametrize(
    "change",
    [
        lambda: (configuration(grant("a", effect="deny")), MODEL, BUILTIN),
        lambda: (configuration(grant("a"), grant("b")), MODEL, BUILTIN),
        lambda: (configuration(grant("a")), MODEL + "\n", BUILTIN),
        lambda: (configuration(grant("a")), MODEL, BUILTIN + "\n"),
    ],
)
def test_the_digest_changes_with_everything_a_decision_depends_on(change):
    assert bundle(*change()).digest != bundle(configuration(grant("a")), MODEL, BUILTIN).digest


def test_a_bundle_decides_after_a_new_start_of_the_interpreter(tmp_path):
    packed = bundle(configuration(grant("works")), MODEL, BUILTIN)
    (tmp_path / "bundle").write_bytes(packed.data)
    (tmp_path / "request").write_bytes(pickle.dumps(tuple(request())))
    code = (
        "import sys, pathlib, pickle; from tenure.policy.bundle import load_bundle;"
        "from tenure.policy.verdicts import Request; folder = pathlib.Path(sys.argv[1]);"
        "engine = load_bundle((folder / 'bundle').read_bytes(), sys.argv[2]).engine(sys.argv[3]);"
        "print(engine.decide(Request(*pickle.loads((folder / 'request').read_bytes()))).rules)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), packed.digest, TENANT],
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.strip() == "('grant/works#1',)"


def test_bytes_under_the_wrong_digest_are_refused():
    packed = bundle(configuration(grant("works")), MODEL, BUILTIN)
    with pytest.raises(Tampered):
        load_bundle(packed.data + b" ", packed.digest)


def _changed(**fields):
    whole = json.loads(bundle(configuration(), MODEL, BUILTIN).data)
    whole.update(fields)
    return plain_canonical({key: value for key, value in whole.items() if value is not None})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[" * 100_000,
        b"[]",
        b'{"format": 1}',
        _changed(format="tenure/policy-bundle/v2"),
        _changed(more="x"),
        _changed(model=None),
        _changed(model=1),
        _changed(builtin=[]),
        _changed(manifests={}),
        bundle(configuration(), MODEL, BUILTIN).data + b"\n",
    ],
)
def test_bytes_that_are_no_canonical_bundle_are_refused(data):
    with pytest.raises(Malformed):
        load_bundle(data)


def test_a_bundle_whose_manifests_do_not_hold_together_is_refused():
    with pytest.raises(Invalid, match="declared"):
        load_bundle(_changed(manifests=[grant("works")]))

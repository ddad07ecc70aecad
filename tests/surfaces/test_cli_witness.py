"""`tenure witness` from the bare client install."""

import json

from surfaces.test_cli_client_only import bare
from tenure.ledger.note import COSIGNATURE, Verifier
from unit.ledger.logs import ORIGIN, SIGNER


def test_a_witness_is_made_and_told_of_logs(tmp_path):
    made = bare("witness", "init", "--dir", tmp_path / "w", "--name", "witness.test/w")
    assert made.returncode == 0, made.stderr
    key = Verifier.parse(made.stdout)
    assert (key.name, key.algorithm) == ("witness.test/w", COSIGNATURE)
    told = bare("witness", "trust", "--dir", tmp_path / "w", SIGNER.vkey, "--json")
    assert json.loads(told.stdout) == {"origins": [ORIGIN]}
    again = bare("witness", "init", "--dir", tmp_path / "w", "--name", "witness.test/w")
    assert again.returncode == 1
    assert "already" in again.stderr


def test_wrong_use_starts_nothing(tmp_path):
    assert bare("witness").returncode == 2
    for listen in ("8421", "127.0.0.1:x", "127.0.0.1:70000"):
        assert bare("witness", "--dir", tmp_path, "--listen", listen).returncode == 2
    missing = bare("witness", "--dir", tmp_path / "none")
    assert missing.returncode == 1
    assert "tenure witness init" in missing.stderr

"""Root store URLs: what opens, and what is refused with its name, its rule and what to do."""

import sys

import pytest

from tenure.errors import Invalid
from tenure.rootstore.files import FilesRootStore
from tenure.rootstore.handover import Handover
from tenure.rootstore.kms import KmsRootStore
from tenure.rootstore.open import open_root_store, open_root_stores, root_files

IMPORTED = "aws-kms:imported?region=eu-central-1&cell=main"


@pytest.mark.parametrize("url", ["", "files:"])
def test_files_are_the_default(url, tmp_path):
    assert open_root_store(url, tmp_path / "keys").capabilities().provider == "files"
    assert (tmp_path / "keys").is_dir()
    assert root_files(url, tmp_path / "keys") == tmp_path / "keys"


def test_files_can_be_elsewhere(tmp_path):
    url = f"files://{tmp_path / 'other'}"
    open_root_store(url, tmp_path / "keys").create("a")
    assert list((tmp_path / "other").glob("*.key"))
    assert not (tmp_path / "keys").exists()
    assert root_files(url, tmp_path) == tmp_path / "other"


@pytest.mark.parametrize(
    ("url", "provider"),
    [
        (IMPORTED, "aws-kms:imported"),
        (IMPORTED + "&endpoint=http://127.0.0.1:9", "aws-kms:imported"),
        ("aws-kms:generated?region=eu-central-1&cell=main", "aws-kms:generated"),
        ("aws-kms:generated?region=eu-central-1&cell=main&days=30", "aws-kms:generated"),
        ("pkcs11:?module=/m.so&token=t&cell=main", "pkcs11"),
        ("pkcs11:?module=/m.so&token=t&cell=main&pin-file=/run/pin", "pkcs11"),
    ],
)
def test_every_kind_opens_without_asking_anybody(url, provider, tmp_path):
    store = open_root_store(url, tmp_path)
    assert store.capabilities().provider == provider
    assert store.capabilities().guarantee
    assert root_files(url, tmp_path) is None


@pytest.mark.parametrize(
    "url",
    [
        "vault:x",
        "files:relative",
        "files://host/dir",
        "aws-kms:",
        "aws-kms:both?region=r&cell=c",
        "aws-kms:imported",
        "aws-kms:imported?region=eu-central-1",
        "aws-kms:imported?cell=main",
        "aws-kms:imported?region=eu-central-1&cell=a/b",
        "aws-kms:imported?region=eu-central-1&cell=",
        IMPORTED + "&days=7",
        IMPORTED + "&cell=again",
        IMPORTED + "&secret-key=canary-secret",
        "aws-kms:generated?region=r&cell=c&days=6",
        "aws-kms:generated?region=r&cell=c&days=31",
        "aws-kms:generated?region=r&cell=c&days=x",
        "aws-kms:generated?nonsense",
        "pkcs11:x?module=m&token=t&cell=c",
        "pkcs11:?token=t&cell=c",
        "pkcs11:?module=m&token=t&cell=c&pin=canary-secret",
        "pkcs11:?module=m&token=t&cell=c&pin-value=canary-secret",
    ],
)
@pytest.mark.parametrize("field", ["TENURE_ROOT_STORE", "TENURE_ROOT_STORE_PREVIOUS"])
def test_what_is_wrong_is_named_with_what_to_do(url, field, tmp_path):
    with pytest.raises(Invalid) as refused:
        open_root_store(url, tmp_path / "keys", field)
    assert refused.value.field == field
    assert refused.value.rule
    assert refused.value.remedy
    for text in (refused.value.detail, refused.value.rule, refused.value.remedy):
        assert "canary" not in text


@pytest.mark.parametrize(
    ("url", "module", "extra"),
    [(IMPORTED, "boto3", "aws"), ("pkcs11:?module=m&token=t&cell=c", "tenure.rootstore.pkcs11", "pkcs11")],
)
def test_an_extra_that_is_not_installed_is_named(url, module, extra, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(Invalid) as refused:
        open_root_store(url, tmp_path)
    assert extra in refused.value.remedy


def test_a_hand_over_takes_two_different_stores(tmp_path):
    both = open_root_stores(IMPORTED, "files:", tmp_path / "keys")
    assert isinstance(both, Handover)
    assert both.capabilities().provider == "aws-kms:imported"
    assert both.capabilities().previous.provider == "files"
    assert isinstance(open_root_stores(IMPORTED, "", tmp_path), KmsRootStore)
    assert isinstance(open_root_stores("", "", tmp_path / "keys"), FilesRootStore)
    for same in ((IMPORTED, IMPORTED), ("", "files:"), ("files:", "files:")):
        with pytest.raises(Invalid) as refused:
            open_root_stores(*same, tmp_path / "keys")
        assert refused.value.field == "TENURE_ROOT_STORE_PREVIOUS"

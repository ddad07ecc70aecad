"""Every root store there is, each with a way to let the time pass that its provider takes to destroy."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
from moto import mock_aws
from moto.kms.models import kms_backends

from fakes import FakeRootStore
from support.strictkms import REGION, StrictKms, store_on
from tenure.keys.rootstore import RootStore
from tenure.rootstore.files import FilesRootStore
from tenure.rootstore.handover import Handover
from tenure.rootstore.kms import KmsRootStore
from tenure.rootstore.kms_calls import KmsCalls

STORES = (
    "files",
    "fake",
    "kms imported",
    "kms generated",
    "kms generated on moto",
    "handover",
    pytest.param("softhsm", marks=pytest.mark.softhsm),
)


@dataclass
class Custody:
    """A store, and what its tests need to know of it."""

    root: RootStore
    slow: bool = False
    """Destruction is `pending` first."""
    refuses: bool = True
    """KMS or token refuses after destruction. Not moto: it decrypts with keys that are to be deleted."""
    wait: Callable[[], None] = lambda: None


@pytest.fixture(params=STORES)
def custody(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Custody]:
    if request.param == "files":
        yield Custody(FilesRootStore(tmp_path / "roots"))
    elif request.param == "fake":
        yield Custody(FakeRootStore())
    elif request.param == "handover":
        yield Custody(Handover(FilesRootStore(tmp_path / "old"), FilesRootStore(tmp_path / "new")))
    elif request.param == "softhsm":
        yield Custody(request.getfixturevalue("softhsm").store())
    elif request.param == "kms generated on moto":
        with mock_aws():
            client = boto3.client(
                "kms", region_name=REGION, aws_access_key_id="test", aws_secret_access_key="test"
            )
            root = KmsRootStore(KmsCalls(client), "test", "generated")
            yield Custody(root, slow=True, refuses=False, wait=_moto_deletes)
    else:
        kms = StrictKms()
        mode = "imported" if request.param == "kms imported" else "generated"
        yield Custody(store_on(kms, mode), slow=mode == "generated", wait=lambda: kms.pass_days(8))


def _moto_deletes() -> None:
    """What AWS does when the time has come; moto never does."""
    backend = kms_backends["123456789012"][REGION]
    for key in [key for key in backend.keys.values() if key.key_state == "PendingDeletion"]:
        del backend.keys[key.id]

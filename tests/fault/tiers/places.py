"""Where a case's packs lie: in the cell's own folder, or in a bucket of a real server."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple
from unittest.mock import patch

import boto3

from fault.tiers.faults import Faulty
from support.cell import Cell
from support.rgw import Bucket
from support.wire import wire_to
from tenure.bootstrap import Tenure
from tenure.cold import s3, s3client
from tenure.cold.files import FileObjects
from tenure.cold.objects import Objects
from tenure.cold.packs import FOLDER


class Shelf(NamedTuple):
    """Without a bucket: files. Everything else of the cell stays in its folder."""

    cell: Cell
    bucket: Bucket | None
    prefix: str

    def filled(self) -> "Shelf":
        """The packs that the cell has already, where they are to be."""
        if self.bucket is not None:
            files = self._files()
            for name in list(files.names(FOLDER)):
                self.bucket.put(self.prefix + name, files.get(name) or b"")
                files.delete(name)
        return self

    def objects(self) -> Objects:
        """The store, and nothing is wrong with it."""
        if self.bucket is None:
            return self._files()
        return s3.open_bucket(self.bucket.name, self.prefix, self.bucket.server.endpoint)

    @contextmanager
    def faulty(self, tenure: Tenure, witness: Callable[[str, str], None]) -> Iterator[Faulty]:
        """The store of the process that dies, put between a cell and its packs."""
        if self.bucket is None:
            store = Faulty(self._files(), witness)
            use(tenure, store)
            yield store
            return
        with ExitStack() as stack:
            for name, value in (("_READ_S", 2), ("_ATTEMPTS", 2)):  # nothing is waited for long
                stack.enter_context(patch.object(s3client, name, value))
            wire = stack.enter_context(wire_to(self.bucket.server.endpoint))
            base = s3.open_bucket(self.bucket.name, self.prefix, wire.endpoint)
            base._is_conditional()  # what it knows is asked while the wire is good
            store = Faulty(base, witness, wire)
            use(tenure, store)
            yield store

    def _files(self) -> FileObjects:
        return FileObjects(self.cell.settings.data_dir / "objects")


@contextmanager
def warmed() -> Iterator[None]:
    """The SDK reads its description of S3 once, for all processes that are forked meanwhile."""
    session = boto3.session.Session()
    session.client("s3", region_name="us-east-1")
    with patch.object(boto3.session, "Session", return_value=session):
        yield


def use(tenure: Tenure, store: Objects) -> None:
    """Let a cell keep its packs there."""
    tenure.tiering._objects = store
    tenure._thaw._objects = store

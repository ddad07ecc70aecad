"""LangChain's chat history and byte store, kept in Tenure.

    history = TenureChatMessageHistory(
        client, "session-1", scope="support.talks", categories=["contact"], subject="customer:42"
    )
    chain = RunnableWithMessageHistory(chain, lambda session: history)

What is kept is sealed to the people whom it is about, decided by policy and in the ledger, as any record.
Both work with a `Client`, whose calls block, and with an `AsyncClient`, with which only the awaited forms do.
"""

import base64
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final
from uuid import uuid4

from langchain_core.chat_history import BaseChatMessageHistory
from langchain_core.messages import BaseMessage, messages_from_dict, messages_to_dict
from langchain_core.stores import BaseStore

from tenure.client import rounds
from tenure.client.items import key_metadata, key_of, record_key
from tenure.client.rounds import ABSENT, AnyClient, Rounds, Step, afinish, finish

CHAT: Final = "chat"
"""What sessions are filed under: (`chat`, session id)."""
MESSAGES, BYTES = "messages", "bytes"
"""The member of a record's content: messages as LangChain writes them; base64."""


class TenureChatMessageHistory(BaseChatMessageHistory):
    """The messages of one session, about one person, or several.

    Each call of `add_messages` is one record, filed under ("chat", session id); they are read in the order in
    which they were written. `clear` hides them; their history stays, as of any record, until retention or an
    erasure takes it. Once somebody is erased, their messages are not there, and adding more raises `Erased`.
    """

    def __init__(
        self,
        client: AnyClient,
        session_id: str,
        *,
        scope: str,
        categories: Sequence[str],
        subject: str | None = None,
        subjects: Sequence[str] = (),
        purpose: str | None = None,
    ) -> None:
        self.client = client if purpose is None else client.for_purpose(purpose)
        self.session_id = session_id
        self.scope = scope
        self.categories = tuple(categories)
        self.subjects = tuple(dict.fromkeys([*([] if subject is None else [subject]), *subjects]))

    @property
    def messages(self) -> list[BaseMessage]:  # type: ignore[override]  # LangChain's own stores do it so
        """All of them, oldest first. A call for each 200 that were added."""
        return finish(self._read())

    async def aget_messages(self) -> list[BaseMessage]:
        """The same, awaited."""
        return await afinish(self._read())

    def add_messages(self, messages: Sequence[BaseMessage]) -> None:
        """Add some, all or none. One call. Raises what `put` raises."""
        return finish(self._add(messages))

    async def aadd_messages(self, messages: Sequence[BaseMessage]) -> None:
        """The same, awaited."""
        return await afinish(self._add(messages))

    def clear(self) -> None:
        """Delete what there is, one call for each time that messages were added."""
        return finish(self._clear())

    async def aclear(self) -> None:
        """The same, awaited."""
        return await afinish(self._clear())

    @property
    def _path(self) -> tuple[str, str]:
        return CHAT, self.session_id

    def _read(self) -> Rounds[list[BaseMessage]]:
        found = yield from rounds.records(self.client, self.scope, self._path, content=True)
        mine = [one for one in found if one.path == self._path and key_of(one) is not None]
        mine.sort(key=lambda one: (one.created_at, one.record))
        return [message for one in mine for message in messages_from_dict(one.content[MESSAGES])]

    def _add(self, messages: Sequence[BaseMessage]) -> Rounds[None]:
        if not messages:
            return
        name = uuid4().hex
        yield [
            rounds.call(
                self.client,
                "put",
                self.scope,
                record_key(self._path, name),
                {MESSAGES: messages_to_dict(messages)},
                subjects=self.subjects,
                categories=self.categories,
                metadata=key_metadata(name),
                path=self._path,
                if_absent=True,
            )
        ]

    def _clear(self) -> Rounds[None]:
        found = yield from rounds.records(self.client, self.scope, self._path, content=False)
        yield [
            rounds.call(self.client, "delete", self.scope, one.key, excused=ABSENT)
            for one in found
            if one.path == self._path and key_of(one) is not None
        ]


class TenureByteStore(BaseStore[str, bytes]):
    """Bytes under names, for LangChain's caches and retrievers: `LocalFileStore` with policy and erasure.

    `namespace` keeps apart what several stores have in one scope. Names are sealed, as record keys are; each
    value is a record about `subjects`. Of two writes of one name the last one counts.
    """

    def __init__(
        self,
        client: AnyClient,
        *,
        scope: str,
        categories: Sequence[str],
        subjects: Sequence[str] = (),
        namespace: Sequence[str] = (BYTES,),
        purpose: str | None = None,
    ) -> None:
        self.client = client if purpose is None else client.for_purpose(purpose)
        self.scope = scope
        self.categories = tuple(categories)
        self.subjects = tuple(subjects)
        self.namespace = tuple(namespace)

    def mget(self, keys: Sequence[str]) -> list[bytes | None]:
        """The values of these names; None for what is not there. A call for each."""
        return finish(self._get(keys))

    async def amget(self, keys: Sequence[str]) -> list[bytes | None]:
        """The same, awaited, several calls at once."""
        return await afinish(self._get(keys))

    def mset(self, key_value_pairs: Sequence[tuple[str, bytes]]) -> None:
        """Store these values. A call for each: when one is refused, those before it are stored."""
        return finish(self._set(key_value_pairs))

    async def amset(self, key_value_pairs: Sequence[tuple[str, bytes]]) -> None:
        """The same, awaited, several calls at once."""
        return await afinish(self._set(key_value_pairs))

    def mdelete(self, keys: Sequence[str]) -> None:
        """Hide what has these names; what is not there is no error."""
        return finish(self._delete(keys))

    async def amdelete(self, keys: Sequence[str]) -> None:
        """The same, awaited."""
        return await afinish(self._delete(keys))

    def yield_keys(self, *, prefix: str | None = None) -> Iterator[str]:
        """The names that begin so. A call for each 200 that there are, whatever they begin with."""
        yield from finish(self._keys(prefix))

    async def ayield_keys(self, *, prefix: str | None = None) -> AsyncIterator[str]:
        """The same, awaited."""
        for key in await afinish(self._keys(prefix)):
            yield key

    def _get(self, keys: Sequence[str]) -> Rounds[list[bytes | None]]:
        names = [record_key(self.namespace, key) for key in keys]
        found = yield [rounds.call(self.client, "get", self.scope, one, excused=ABSENT) for one in names]
        return [None if one is None else base64.b64decode(one.content[BYTES]) for one in found]

    def _set(self, pairs: Sequence[tuple[str, bytes]]) -> Rounds[None]:
        yield [self._write(key, value) for key, value in dict(pairs).items()]

    def _write(self, key: str, value: bytes) -> Step:
        return rounds.call(
            self.client,
            "put",
            self.scope,
            record_key(self.namespace, key),
            {BYTES: base64.b64encode(value).decode()},
            subjects=self.subjects,
            categories=self.categories,
            metadata=key_metadata(key),
            path=self.namespace,
        )

    def _delete(self, keys: Sequence[str]) -> Rounds[None]:
        names = dict.fromkeys(record_key(self.namespace, key) for key in keys)
        yield [rounds.call(self.client, "delete", self.scope, one, excused=ABSENT) for one in names]

    def _keys(self, prefix: str | None) -> Rounds[list[str]]:
        found = yield from rounds.records(self.client, self.scope, self.namespace, content=False)
        keys = [key_of(one) for one in found if one.path == self.namespace]
        return [key for key in keys if key is not None and key.startswith(prefix or "")]

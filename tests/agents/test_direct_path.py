"""A cell in the same process is asked past HTTP, but past nothing else: decision, credential, limits."""

import pytest
from langgraph.graph import END, START, MessagesState, StateGraph

from support.agents import opened
from support.cell import SCOPE, SUPPORT, Cell
from tenure.client.langgraph import TenureSaver
from tenure.errors import Conflict, Denied, Invalid, NotFound
from tenure.model.thread import Channel

BOUND = {"categories": ["contact"], "subjects": ["customer:1"]}
CHANNELS = {"a": Channel(1, "text", (b"1",))}


def test_a_savers_calls_belong_to_the_decision_and_to_no_sealed_one(embedded: Cell) -> None:
    with opened(embedded) as client:
        with client.decision() as inside:
            saver = TenureSaver(inside, scope=SCOPE, categories=["contact"])
            graph = StateGraph(MessagesState).add_node("answer", lambda _: {"messages": ["Yes."]})
            built = graph.add_edge(START, "answer").add_edge("answer", END).compile(checkpointer=saver)
            config = {"configurable": {"thread_id": "t", "subject": "customer:1"}}
            built.invoke({"messages": ["?"]}, config)
            made = inside.bound.decision
        assert made is not None
        with pytest.raises(Conflict):
            built.invoke({"messages": ["?"]}, config)
        seen = client.get_decision(made)
    entries = [
        one for one in embedded.entries() if one["kind"] in ("write", "access") and one["purpose"] == SUPPORT
    ]
    of_threads = [one for one in entries if one["outcome"] == "ok"]
    assert of_threads
    assert {one.get("decision") for one in of_threads} == {made}
    assert seen


def test_it_is_refused_like_anybody_over_http(embedded: Cell) -> None:
    with opened(embedded) as client:
        client.put_snapshot(SCOPE, "t", "s", channels=CHANNELS, **BOUND)
        with pytest.raises(Denied):
            client.for_purpose("marketing").get_snapshot(SCOPE, "t")
        for purpose in ("nobody's", "客服", "a\r\nX: b", ""):
            with pytest.raises((Invalid, Denied)):
                client.for_purpose(purpose).get_snapshot(SCOPE, "t")
        with pytest.raises(NotFound):
            client.within("01890000-0000-7000-8000-000000000000").get_snapshot(SCOPE, "t")
        assert client.get_snapshot(SCOPE, "t").id == "s"
    with opened(embedded, "auditor") as auditor, pytest.raises(Denied):
        auditor.get_snapshot(SCOPE, "t")

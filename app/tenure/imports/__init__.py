"""`tenure import`: what agents have kept elsewhere, put where it is governed (docs/import.md).

    jsonl         one JSON object a line              → records                 (`lines`)
    checkpoints   LangGraph's SqliteSaver, PostgresSaver → a saver's threads    (`threads`)
    store         LangGraph's SqliteStore, PostgresStore → a store's items      (`items`)

Each reads, asks the mapping what a line, a thread or an item is (`mapping`, `labels`), writes through the
public client or LangGraph's own interfaces, and keeps a journal (`journal`). What happens to one of them does
not keep the others: `run`. Nothing here reaches into the service.
"""

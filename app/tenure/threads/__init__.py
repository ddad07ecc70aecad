"""Threads: an agent's saved state, as versions of records like everything else that is remembered.

A thread's *root* is a record whose newest version is the thread's generation; the snapshots of one
namespace are the versions of a record, and the writes pending on one snapshot those of another
(`model.thread`). So policy, sealing, ledger, erasure, retention, tiers, backups and inspection hold for them
without a second word.

What is a thread's own: its cohorts, leaves that end with its generation; a new snapshot is compared with the
newest one before it is stored; and values are put together from slices of earlier versions.
"""

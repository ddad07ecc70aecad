"""Tiering killed, for every fault of the object store: nothing lost, nothing twice, every byte as it was.

    python -m fault.tiers        (with tests/ on the path; `make tier-matrix`)

A process that opens a prepared cell runs the job `tier` over a store that shows the fault, writes and reads
meanwhile, and is killed at a step. Another one opens what is left, on a healthy store, and judges.
"""

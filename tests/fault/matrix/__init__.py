"""The crash matrix: an erasure killed after each durable step, and what may happen next, on both databases.

    python -m fault.matrix        (with tests/ on the path; `make crash-matrix`)

Kept apart from the steps of `governance.shred`: what is durable is found by watching (`support.durable`), and
whether somebody came back is decided by reading and by the oracle (`support.oracle`).
"""

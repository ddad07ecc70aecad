"""The transparency log, pure: entries, Merkle tree, tiles, notes, receipts, certificates, audit.

Bytes in, bytes out. Everything here runs in the bare client install, because whoever audits Tenure runs
it on a machine of their own.
"""

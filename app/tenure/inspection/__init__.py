"""Inspection: is what lies in the database what was once written there?

Readers of rows → checks → findings. Nothing here changes anything. Each table has a section that compares its
rows with what they cannot be forged against: the signed ledger, the keys, the mirror, and each other.
"""

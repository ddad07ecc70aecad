"""Can these checks fail? A copy of the cell, corrupted one thing at a time, and which check noticed each.

Nothing but the copy is ever changed: mirror and objects are seen through a veil, the root store only opens.
"""

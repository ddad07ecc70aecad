"""Padmé: padded lengths that say little.

Nikitin et al., "Reducing Metadata Leakage from Encrypted Files and Communication with PURBs", PETS 2019, §4
and algorithm 1.
"""


def padded_length(n: int) -> int:
    """The length to pad `n` bytes to: at most 12 % more, and O(log log n) bits of the length remain visible.

    Raises ValueError for a negative length.
    """
    if n < 0:
        raise ValueError("a length is not negative")
    if n <= 1:
        return n
    exponent = n.bit_length() - 1
    zeros = exponent - exponent.bit_length()  # low bits that must be zero
    mask = (1 << zeros) - 1 if zeros > 0 else 0
    return (n + mask) & ~mask

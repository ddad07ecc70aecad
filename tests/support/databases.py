"""On which databases a test runs: on both, unless it says otherwise.

`pytest.mark.databases("sqlite")` is for what is decided above the store: rules, labels, proofs, wording, bad
input. What SQL, types, locks, several processes or a crash between two statements decide, runs on both; in a
module that is marked, such a test is marked again with all of `DATABASES`: the nearest marker counts.
"""

DATABASES = ("sqlite", "postgresql")

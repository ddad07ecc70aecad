"""The command line. This package itself imports nothing: the bare client install has only part of it."""

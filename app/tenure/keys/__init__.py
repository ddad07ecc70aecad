"""Keys, pure: bytes in, bytes out. The formats are frozen in `docs/spec/` (keys, sealed-record)."""

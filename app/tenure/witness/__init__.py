"""A C2SP tlog-witness: `place` keeps what it cosigned, `server` answers logs."""

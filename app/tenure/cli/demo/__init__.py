"""`tenure demo`: the whole story on an embedded store, act by act."""

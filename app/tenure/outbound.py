"""Calls that the service makes to others."""

from typing import Final

NO_PROXY: Final = dict.fromkeys(("all://localhost", "all://127.0.0.1", "all://[::1]"), None)
"""httpx `mounts`: this machine is never asked through a proxy, which would be the proxy's machine."""

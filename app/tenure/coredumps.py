"""No core dumps: a file of a whole process's memory would hold every live key."""

import ctypes
import resource
import sys

_PR_SET_DUMPABLE = 4


def refuse_core_dumps() -> None:
    """This process never dumps its memory, whatever the shell or the service manager allows.

    On Linux it may not be traced by its own user either (`prctl(2)`), and the kernel hands no dump to a
    handler, which the limit alone would let it. Raises OSError when the system refuses: then do not serve.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform.startswith("linux") and ctypes.CDLL(None, use_errno=True).prctl(
        _PR_SET_DUMPABLE, 0, 0, 0, 0
    ):
        raise OSError(ctypes.get_errno(), "PR_SET_DUMPABLE was refused; the service does not start.")

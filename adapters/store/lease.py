"""Who sends and who watches the clock: one process at a time, by a lock on a file."""

import fcntl
import os
from pathlib import Path


class FileLease:
    """
    Held by one process; free again the moment that process ends, however it ends.

    Two services on one SQLite file are a mistake, yet nobody may get each message twice for it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def try_take(self) -> bool:
        """Take it if it is free; True while it is ours."""
        if self._descriptor is None:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
            self._descriptor = descriptor
        return True

    def is_held(self) -> bool:
        """Whether another process has it at this moment; asking makes no file."""
        if self._descriptor is not None or not self._path.exists():
            return False
        is_free = self.try_take()
        self.release()
        return not is_free

    def release(self) -> None:
        """Let another process have it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

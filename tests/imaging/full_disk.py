"""Fill a small disk; the disk itself is the fixture `disk`."""

import os
from pathlib import Path


def fill(disk: Path, *, leave_kb: int) -> None:
    """Leave so many kilobytes on it."""
    room = os.statvfs(disk)
    (disk / "filler").write_bytes(bytes(room.f_bavail * room.f_bsize - leave_kb * 1024))

"""What it costs to tell what was the case, to show approvals, to make read models anew."""

from datetime import datetime, timedelta
from pathlib import Path

from benchmarks.lives import FIRST
from domain.identity import approval_id, approval_stream
from web.app import utc_now
from web.audit import difference
from web.audit.comparing import compare_read_models
from web.audit.replay import replay
from web.audit.show import show
from web.rebuilding import rebuild_read_models
from web.settings import Settings

SHOWN, BY_UUID = 1000, 10


def rebuild(settings: Settings, folder: Path) -> None:
    """Every read model, from zero."""
    rebuild_read_models(settings, None)


def compare(settings: Settings, folder: Path) -> None:
    """Made anew beside the live ones and compared, every row; after `rebuild`."""
    assert compare_read_models(settings) == []  # else it measures something else


def replay_all(settings: Settings, folder: Path) -> None:
    """As it was in the end, so that every event counts."""
    replay(settings, "now", None, utc_now(), _said, as_json=False)


def replay_as_json(settings: Settings, folder: Path) -> None:
    """The same, every approval written out."""
    replay(settings, "now", None, utc_now(), _said, as_json=True)


def replay_a_day(settings: Settings, folder: Path) -> None:
    """What changed after the first minute, which is nearly everything."""
    first = _written(FIRST + timedelta(minutes=1))
    difference.difference(settings, first, "now", None, utc_now(), _said, as_json=False)


def show_a_thousand(settings: Settings, folder: Path) -> None:
    """A thousand approvals, each as by a command of its own: seconds are milliseconds of one."""
    for number in range(1, SHOWN + 1):
        show(settings, f"{number}_1", utc_now(), _said, as_json=False)


def show_by_uuid(settings: Settings, folder: Path) -> None:
    """Ten of them by their `approval_id`; after `rebuild`."""
    for number in range(1, BY_UUID + 1):
        uuid = approval_id(approval_stream(f"{number}_1"))
        show(settings, uuid, utc_now(), _said, as_json=False)


def _written(at: datetime) -> str:
    return at.isoformat()


def _said(line: str) -> None:
    """Nobody reads it."""

"""Looking through a copy of the event store: after a backup, and before a restore."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from adapters.store.copies import Inventory, examine

Advance = Callable[[int, int], None]
"""How much is done, of how much."""


def checked_copy(path: Path, task: "Callable[[str], Advance]") -> Inventory:
    """
    What a copy holds, once all of it was found to be there and legible.

    Raises:
        NewerStore: A newer program wrote it.
        DamagedCopy: It is not whole.
    """
    return examine(path, task("checking"))


@contextmanager
def progress_bars() -> Iterator[Callable[[str], Advance]]:
    """Bars on a terminal's stderr, one for each task that is named; nothing elsewhere."""
    console = Console(stderr=True)
    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
    )

    def begun(name: str) -> Advance:
        task = bars.add_task(name, total=None)
        return lambda done, of: bars.update(task, completed=done, total=of)

    with bars:
        yield begun


def sizes(inventory: Inventory) -> str:
    """What a copy holds, in words."""
    each = ""
    if inventory.approvals:
        each = f", {inventory.size // inventory.approvals:,} for each approval"
    return (
        f"{inventory.events:,} events up to position {inventory.position:,}, "
        f"{inventory.approvals:,} approvals; {inventory.size:,} bytes{each}"
    )

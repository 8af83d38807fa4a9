"""An engine as a witness: it keeps the tree heads that the service shows it (docs/audit.md)."""

from pathlib import Path

from adapters.engine.errors import LogWentBack
from adapters.evidence.head_file import append_heads, read_heads
from adapters.evidence.heads import TreeHead


class Witness:
    """
    The newest head of each log that was seen.

    Args:
        file: Where every head that is new is added as a line, for `audit verify --heads`; it begins
            with those that stand there already. None: only in memory.

    Raises:
        OSError: The file cannot be read.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._file = file
        self._newest: dict[str, TreeHead] = {}
        if file is not None and file.exists():
            for head in read_heads(file).heads:
                if self.is_new(head):
                    self._newest[head.log_id] = head

    def newest(self, log_id: str) -> TreeHead | None:
        return self._newest.get(log_id)

    def is_new(self, head: TreeHead) -> bool:
        known = self._newest.get(head.log_id)
        return known is None or head.tree_size > known.tree_size

    def see(self, head: TreeHead) -> None:
        """
        Keep a head, if it is a newer one.

        A smaller one that was signed earlier is no contradiction: of several processes one may know
        the newest head a moment later than another.

        Raises:
            LogWentBack: It covers less than one that was signed before it, or as much of another
                past.
            OSError: It cannot be added to the file.
        """
        known = self._newest.get(head.log_id)
        if known is not None:
            less = head.tree_size < known.tree_size and head.timestamp > known.timestamp
            same = head.tree_size == known.tree_size
            if less or (same and head.root_hash != known.root_hash):
                raise LogWentBack(known, head)
        if self.is_new(head):
            if self._file is not None:
                append_heads(self._file, [head.text()])
            self._newest[head.log_id] = head

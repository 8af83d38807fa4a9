"""
The Merkle tree of RFC 9162, section 2.1, with SHA-256.

Everything here is of hashes; what a leaf says is in adapters/evidence/leaf.py. `Frontier` grows a
tree in memory of its depth; `Hashes` of leaves make proofs, which need nothing else to be checked.
"""

import hashlib
from collections.abc import Callable, Sequence

LEAF, NODE = b"\x00", b"\x01"
EMPTY_ROOT = hashlib.sha256(b"").digest()
HASH_BYTES = 32
# Roots of this many leaves and more are kept while proofs are made from the same leaves.
KEPT_FROM = 1024

Hashes = Callable[[int, int], Sequence[bytes]]
"""Hashes of the leaves from the first index up to, not including, the second."""


class NoProof(Exception):
    """The proof does not prove it."""


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(LEAF + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(NODE + left + right).digest()


class Frontier:
    """
    What has to be known of a tree to append to it: the roots of its complete subtrees.

    Args:
        size: How many leaves it has.
        roots: Of the subtrees, the largest first; one for each bit that is set in the size.
    """

    def __init__(self, size: int = 0, roots: Sequence[bytes] = ()) -> None:
        if len(roots) != size.bit_count() or any(len(root) != HASH_BYTES for root in roots):
            raise ValueError(f"these are not the subtrees of a tree of size {size}")
        self.size = size
        smallest_first = iter(reversed(roots))
        self._levels = [
            next(smallest_first) if size >> level & 1 else None
            for level in range(size.bit_length())
        ]

    def extend(self, leaves: Sequence[bytes]) -> None:
        """Append hashes of leaves: by pairs, level by level."""
        self.size += len(leaves)
        sha256, level, nodes = hashlib.sha256, 0, list(leaves)
        while nodes:
            if level == len(self._levels):
                self._levels.append(None)
            if (waiting := self._levels[level]) is not None:
                nodes.insert(0, waiting)
            self._levels[level] = nodes.pop() if len(nodes) % 2 else None
            pairs = zip(nodes[::2], nodes[1::2], strict=True)
            nodes = [sha256(NODE + left + right).digest() for left, right in pairs]
            level += 1

    def root(self) -> bytes:
        """The hash of the whole tree."""
        found: bytes | None = None
        for node in self._levels:
            if node is not None:
                found = node if found is None else node_hash(node, found)
        return EMPTY_ROOT if found is None else found

    def roots(self) -> list[bytes]:
        """As the constructor takes them."""
        return [node for node in reversed(self._levels) if node is not None]

    def copy(self) -> "Frontier":
        return Frontier(self.size, self.roots())


class Prover:
    """Makes proofs from the hashes of leaves; what it computed for one serves the next."""

    def __init__(self, hashes: Hashes) -> None:
        self._hashes = hashes
        self._known: dict[tuple[int, int], bytes] = {}

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """That the leaf of that index is in the tree of that size (RFC 9162, 2.1.3.1)."""
        if not 0 <= index < size:
            raise ValueError(f"no leaf {index} in a tree of size {size}")
        return self._path(index, 0, size)

    def consistency(self, first: int, second: int) -> list[bytes]:
        """That the tree of the second size only adds to that of the first (2.1.4.1)."""
        if not 0 < first <= second:
            raise ValueError(f"a tree of size {second} does not follow one of size {first}")
        return self._subproof(first, 0, second, whole=True)

    def root(self, start: int, stop: int) -> bytes:
        """Of the leaves from `start` up to, not including, `stop`."""
        if stop - start < KEPT_FROM:
            return _root_of(self._hashes(start, stop))
        if (start, stop) not in self._known:
            middle = start + _split(stop - start)
            both = self.root(start, middle), self.root(middle, stop)
            self._known[start, stop] = node_hash(*both)
        return self._known[start, stop]

    def _path(self, index: int, start: int, stop: int) -> list[bytes]:
        if stop - start == 1:
            return []
        middle = start + _split(stop - start)
        if index < middle:
            return [*self._path(index, start, middle), self.root(middle, stop)]
        return [*self._path(index, middle, stop), self.root(start, middle)]

    def _subproof(self, first: int, start: int, stop: int, *, whole: bool) -> list[bytes]:
        """`whole`: that subtree is all of the first tree, whose root the checker knows."""
        if first == stop:
            return [] if whole else [self.root(start, stop)]
        middle = start + _split(stop - start)
        if first <= middle:
            proof = self._subproof(first, start, middle, whole=whole)
            return [*proof, self.root(middle, stop)]
        proof = self._subproof(first, middle, stop, whole=False)
        return [*proof, self.root(start, middle)]


def root_by_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """
    The root of a tree of that size in which the leaf has that index (RFC 9162, 2.1.3.2).

    Raises:
        NoProof: The path is not one of such a leaf.
    """
    if not 0 <= index < size:
        raise NoProof(f"no leaf {index} in a tree of size {size}")
    place, last, root = index, size - 1, leaf
    for step in path:
        if last == 0:
            raise NoProof("the path is too long")
        if place & 1 or place == last:
            root = node_hash(step, root)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            root = node_hash(root, step)
        place, last = place >> 1, last >> 1
    if last:
        raise NoProof("the path is too short")
    return root


def check_consistency(
    first: int, second: int, first_root: bytes, second_root: bytes, path: Sequence[bytes]
) -> None:
    """
    That a tree of the second size and root only adds to one of the first (RFC 9162, 2.1.4.2).

    Raises:
        NoProof: It is not shown by that path.
    """
    if not 0 < first <= second:
        raise NoProof(f"a tree of size {second} does not follow one of size {first}")
    if first == second:
        if path or first_root != second_root:
            raise NoProof("two trees of one size, and not the same")
        return
    steps = [first_root, *path] if first.bit_count() == 1 else list(path)
    if not steps:
        raise NoProof("the path is empty")
    place, last = first - 1, second - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old = new = steps[0]
    for step in steps[1:]:
        if last == 0:
            raise NoProof("the path is too long")
        if place & 1 or place == last:
            old, new = node_hash(step, old), node_hash(step, new)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            new = node_hash(new, step)
        place, last = place >> 1, last >> 1
    if last or old != first_root or new != second_root:
        raise NoProof("the path does not lead from the first root to the second")


def _split(size: int) -> int:
    """The largest power of two that is smaller than the size."""
    return 1 << (size - 1).bit_length() - 1


def _root_of(leaves: Sequence[bytes]) -> bytes:
    frontier = Frontier()
    frontier.extend(leaves)
    return frontier.root()

"""The Merkle tree of RFC 9162, by the vectors of certificate-transparency and by what must hold."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.evidence.leaf import FORM, StoredRow, leaf_data, leaf_hashes
from adapters.evidence.merkle import (
    EMPTY_ROOT,
    Frontier,
    NoProof,
    Prover,
    check_consistency,
    leaf_hash,
    node_hash,
    root_by_inclusion,
)

# The leaves and roots that the reference implementation of certificate-transparency tests with.
INPUTS = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657"]
INPUTS += ["606162636465666768696a6b6c6d6e6f"]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
N96, N5F, N6B, NBC, NCA, ND3, N0E, N6E, NFA = (
    "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
)
INCLUSION = [
    (0, 1, []),
    (0, 2, [N96]),
    (1, 2, [N6E]),
    (2, 3, [NFA]),
    (1, 5, [N6E, N5F, NBC]),
    (0, 8, [N96, N5F, N6B]),
    (5, 8, [NBC, NCA, ND3]),
]
CONSISTENCY = [
    (1, 1, []),
    (1, 8, [N96, N5F, N6B]),
    (2, 5, [N5F, NBC]),
    (6, 8, [N0E, NCA, ND3]),
]
VECTOR_LEAVES = [leaf_hash(bytes.fromhex(text)) for text in INPUTS]
MOST = 70
LEAVES = [leaf_hash(bytes([number])) for number in range(MOST)]


def tree(leaves: list[bytes]) -> Frontier:
    frontier = Frontier()
    frontier.extend(leaves)
    return frontier


def by_definition(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162, 2.1.1, as it stands there."""
    if len(leaves) < 2:
        return leaves[0] if leaves else EMPTY_ROOT
    split = max(2**k for k in range(8) if 2**k < len(leaves))
    return node_hash(by_definition(leaves[:split]), by_definition(leaves[split:]))


def prover(leaves: list[bytes] = LEAVES) -> Prover:
    return Prover(lambda start, stop: leaves[start:stop])


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_the_vectors(size: int) -> None:
    assert tree(VECTOR_LEAVES[:size]).root().hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size", "path"), INCLUSION)
def test_inclusion_proofs_are_those_of_the_vectors(index: int, size: int, path: list[str]) -> None:
    made = prover(VECTOR_LEAVES).inclusion(index, size)
    assert [step.hex() for step in made] == path
    assert root_by_inclusion(VECTOR_LEAVES[index], index, size, made).hex() == ROOTS[size]


@pytest.mark.parametrize(("first", "second", "path"), CONSISTENCY)
def test_consistency_proofs_are_those_of_the_vectors(
    first: int, second: int, path: list[str]
) -> None:
    made = prover(VECTOR_LEAVES).consistency(first, second)
    assert [step.hex() for step in made] == path
    roots = [bytes.fromhex(ROOTS[size]) for size in (first, second)]
    check_consistency(first, second, roots[0], roots[1], made)


def test_every_leaf_of_every_size_is_proved_and_no_other() -> None:
    proves = prover()
    for size in range(1, MOST + 1):
        root = by_definition(LEAVES[:size])
        assert tree(LEAVES[:size]).root() == root
        for index in range(size):
            path = proves.inclusion(index, size)
            assert root_by_inclusion(LEAVES[index], index, size, path) == root
            assert _root(LEAVES[index - 1], index, size, path) != root or size == 1
            assert _root(LEAVES[index], (index + 1) % size, size, path) != root or size == 1
            assert _root(LEAVES[index], index, size, [*path, root]) != root
            assert not path or _root(LEAVES[index], index, size, path[:-1]) != root


def test_every_size_is_consistent_with_every_later_one_and_no_other() -> None:
    proves = prover()
    roots = [by_definition(LEAVES[:size]) for size in range(MOST + 1)]
    for second in range(1, MOST + 1):
        for first in range(1, second + 1):
            path = proves.consistency(first, second)
            check_consistency(first, second, roots[first], roots[second], path)
            assert not _is_consistent(first, second, roots[first - 1], roots[second], path)
            assert not _is_consistent(first, second, roots[first], roots[second - 1], path)
            assert not _is_consistent(first, second, roots[first], roots[second], [*path, roots[1]])
            if path:
                shorter = path[:-1]
                assert not _is_consistent(first, second, roots[first], roots[second], shorter)


@given(
    st.lists(st.integers(0, MOST), min_size=1, max_size=8),
    st.integers(1, MOST - 1),
    st.integers(0, 31),
)
def test_a_frontier_goes_on_from_what_is_kept_of_it(
    portions: list[int], size: int, byte: int
) -> None:
    frontier, done = Frontier(), 0
    for portion in portions:
        frontier.extend(LEAVES[done : done + portion])
        done = min(MOST, done + portion)
        assert frontier.size == done and frontier.root() == by_definition(LEAVES[:done])
        frontier = Frontier(frontier.size, frontier.roots())
    altered = bytearray(LEAVES[size - 1])
    altered[byte] ^= 1
    assert tree([*LEAVES[: size - 1], bytes(altered)]).root() != by_definition(LEAVES[:size])


def test_what_is_kept_of_a_frontier_has_to_fit_its_size() -> None:
    with pytest.raises(ValueError, match="not the subtrees"):
        Frontier(3, LEAVES[:1])
    with pytest.raises(ValueError, match="not the subtrees"):
        Frontier(1, [b"short"])


def test_large_trees_are_proved_alike() -> None:
    leaves = [leaf_hash(number.to_bytes(4)) for number in range(5000)]
    proves, root = prover(leaves), tree(leaves).root()
    assert proves.root(0, 5000) == root
    for index in (0, 1023, 1024, 4095, 4096, 4999):
        path = proves.inclusion(index, 5000)
        assert root_by_inclusion(leaves[index], index, 5000, path) == root
    for first in (1024, 1025, 4096, 4999):
        path = proves.consistency(first, 5000)
        check_consistency(first, 5000, tree(leaves[:first]).root(), root, path)


def test_a_proof_for_a_smaller_tree_is_none_for_a_larger_one() -> None:
    """Not even with the root of the smaller one: the size is a part of what is proved."""
    proves, roots = prover(), [tree(LEAVES[:size]).root() for size in range(9)]
    assert _root(LEAVES[0], 0, 8, proves.inclusion(0, 4)) is None
    assert _root(LEAVES[0], 0, 5, proves.inclusion(0, 4)) is None
    assert _root(LEAVES[3], 3, 4, proves.inclusion(3, 8)) is None
    for first, second, claimed in ((2, 4, 8), (3, 4, 5), (1, 2, 3), (2, 8, 4)):
        path = proves.consistency(first, second)
        assert not _is_consistent(first, claimed, roots[first], roots[second], path)


def test_what_there_is_not_is_not_proved() -> None:
    for index, size in ((3, 3), (-1, 3), (0, 0)):
        with pytest.raises(ValueError, match="no leaf"):
            prover().inclusion(index, size)
        with pytest.raises(NoProof, match="no leaf"):
            root_by_inclusion(LEAVES[0], index, size, [])
    for first, second in ((0, 3), (4, 3)):
        with pytest.raises(ValueError, match="does not follow"):
            prover().consistency(first, second)
        with pytest.raises(NoProof, match="does not follow"):
            check_consistency(first, second, LEAVES[0], LEAVES[0], [])
    with pytest.raises(NoProof, match="empty"):
        check_consistency(3, 5, LEAVES[0], LEAVES[0], [])


# Leaves.


def test_the_bytes_of_a_leaf_never_change() -> None:
    row = StoredRow(7, b"approval-1_1", 2, b"approval.approved", '{"by":"张三"}'.encode())
    numbers = b"".join(n.to_bytes(8) for n in (7, 2, 12, 17, 15))
    assert leaf_data(row) == (
        b"fta-approval event 1\n" + numbers + b"approval-1_1approval.approved"
        b'{"by":"\xe5\xbc\xa0\xe4\xb8\x89"}'
    )
    data = hashlib.sha256(b"\0" + leaf_data(row)).hexdigest()
    assert [leaf.hex() for leaf in leaf_hashes([row])] == [data]
    assert data == "535ef6733cf098b2c6b8611a087d91221eff1ccece5ef683089502a9f034c748"


@given(
    st.lists(
        st.tuples(
            st.integers(-(2**63), 2**63 - 1),
            st.binary(max_size=3),
            st.integers(-(2**63), 2**63 - 1),
            st.binary(max_size=3),
            st.binary(max_size=3),
        ),
        min_size=2,
        max_size=2,
        unique=True,
    )
)
def test_two_events_never_have_the_same_bytes(
    rows: list[tuple[int, bytes, int, bytes, bytes]],
) -> None:
    one, other = (leaf_data(StoredRow(*row)) for row in rows)
    assert one != other
    assert one.startswith(FORM) and leaf_hashes(rows) == [leaf_hash(one), leaf_hash(other)]


def _root(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes | None:
    try:
        return root_by_inclusion(leaf, index, size, path)
    except NoProof:
        return None


def _is_consistent(first: int, second: int, one: bytes, other: bytes, path: list[bytes]) -> bool:
    try:
        check_consistency(first, second, one, other, path)
    except NoProof:
        return False
    return True

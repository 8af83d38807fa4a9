"""An engine keeps the tree heads that it is shown, and notices a history that went back."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.engine.blocking import BlockingEngineClient
from adapters.engine.client import EngineClient
from adapters.engine.errors import LogWentBack, UnexpectedAnswer
from adapters.engine.witness import Witness
from adapters.evidence.head_file import read_heads
from adapters.evidence.heads import TreeHead
from tests.scripted import Time, client_of, says, scripted_service
from tests.service import TOKEN, Service
from tests.test_evidence_service import evidence_of, head_covering

HEAD = TreeHead.of("log", 7, 9, "2026-05-04T12:00:00.000Z", bytes(32), "key")
LATER = "2026-05-04T12:00:01.000Z"


async def test_heads_that_the_client_asks_for_are_kept(service: Service, tmp_path: Path) -> None:
    file = tmp_path / "kept.jsonl"
    await head_covering(service, await service.quiet())
    async with EngineClient(service.base, TOKEN, witness=Witness(file)) as client:
        first = await client.tree_head()
        assert first is not None and await client.tree_head() == first
        asked = await service.ask("1_1")
        await head_covering(service, asked["number"])
        second = await client.tree_head()
    with BlockingEngineClient(service.base, TOKEN, witness=Witness(file)) as blocking:
        assert await asyncio.to_thread(blocking.tree_head) is not None
    assert second is not None and second.tree_size > first.tree_size
    kept = read_heads(file).heads
    assert kept[:2] == [first, second]
    found = await asyncio.to_thread(evidence_of(service).verify, *kept)
    assert found.problem is None and found.outside == len(set(kept))


async def test_an_answer_without_a_head_and_one_that_is_none() -> None:
    page = {"decisions": [], "next": 0, "feed_id": "feed-1"}
    async with scripted_service() as scripted, client_of(scripted, Time()) as client:
        scripted.then(says(page), says({**page, "tree_head": None}))
        assert await client.tree_head() is None  # of a service older than heads
        assert await client.tree_head() is None  # before the first
        scripted.answers = [says({**page, "tree_head": {"tree_size": 1}})]
        with pytest.raises(UnexpectedAnswer, match="tree head cannot be used"):
            await client.tree_head()


@pytest.mark.parametrize(
    "shown",
    [
        replace(HEAD, tree_size=6, timestamp=LATER),
        replace(HEAD, root_hash="A" * 42 + "E=", timestamp=LATER),
        replace(HEAD, root_hash="A" * 42 + "E="),
    ],
    ids=["less", "another past", "another past at the same time"],
)
def test_a_history_that_went_back_is_noticed(shown: TreeHead, tmp_path: Path) -> None:
    Witness(tmp_path / "kept").see(HEAD)
    witness = Witness(tmp_path / "kept")  # in another process, later
    with pytest.raises(LogWentBack, match="log log was shown with 7 events") as caught:
        witness.see(shown)
    assert (caught.value.known, caught.value.shown) == (HEAD, shown)
    assert read_heads(tmp_path / "kept").heads == [HEAD] == [witness.newest("log")]


@pytest.mark.parametrize(
    "shown",
    [
        HEAD,
        replace(HEAD, timestamp=LATER),
        replace(HEAD, tree_size=6, timestamp="2026-05-04T11:59:59.000Z"),
    ],
    ids=["the same", "signed again", "known late by another process"],
)
def test_what_is_no_contradiction_is_taken(shown: TreeHead) -> None:
    witness = Witness()
    witness.see(HEAD)
    witness.see(shown)
    assert witness.newest("log") == HEAD


def test_logs_are_told_apart(tmp_path: Path) -> None:
    witness = Witness(tmp_path / "kept")
    restored = replace(HEAD, log_id="after a restore", tree_size=3, timestamp=LATER)
    witness.see(HEAD)
    witness.see(restored)
    assert witness.newest("log") == HEAD and witness.newest("after a restore") == restored
    assert witness.newest("another") is None
    assert read_heads(tmp_path / "kept").heads == [HEAD, restored]

"""`fta-approval webhooks`, as an administrator types it, while the service runs or not."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from domain.commands import Cancel, RequestApproval
from domain.webhooks import RETRY_AFTER
from tests import confidential
from tests.conftest import StartService
from tests.process import SCRIPT
from tests.pushing import Pushed
from tests.receiver import Receiver
from tests.service import Clock
from tests.test_sending import Pauses, until
from web import keys
from web.shell_account import shell_account

WITHIN_S = 60.0
A, B = "whsec_" + "QUFB" * 8, "whsec_" + "QkJC" * 8


@pytest.fixture
def clock() -> Clock:
    """The command reads the clock of the machine, so the service has to be near it."""
    return Clock(datetime.now(UTC).replace(microsecond=0))


@pytest.fixture
def sleep() -> Pauses:
    return Pauses()


@pytest.fixture
async def receiver(clock: Clock) -> AsyncIterator[Receiver]:
    receiver = await Receiver(clock).start()
    yield receiver
    await receiver.stop()


@pytest.fixture
async def pushed(start: StartService, sleep: Pauses) -> Pushed:
    return Pushed(await start(), sleep)


async def webhooks(folder: Path, *arguments: str, **settings: str) -> tuple[int, list[str], str]:
    """Exit status, lines of stdout, and stderr."""
    process = await asyncio.create_subprocess_exec(
        *map(str, (SCRIPT, "webhooks", *arguments)),
        env={
            "FTA_APPROVAL_DATABASE": f"sqlite:///{folder / 'fta-approval.db'}",
            "FTA_APPROVAL_LOG_LEVEL": "debug",
            **{f"FTA_APPROVAL_{name.upper()}": value for name, value in settings.items()},
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await asyncio.wait_for(process.communicate(), WITHIN_S)
    assert process.returncode is not None
    said = confidential.note_said("webhooks", errors.decode())
    assert "Traceback" not in said
    return process.returncode, out.decode().splitlines(), said


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def given_up(pushed: Pushed, receiver: Receiver, *obj_ids: str) -> list[str]:
    """The ids of decisions that were tried to the end."""
    receiver.answers(404)
    for obj_id in obj_ids:
        await pushed.decides(obj_id, receiver, "/hook?token=confidential")
    await pushed.settled()
    for delay in RETRY_AFTER:
        await pushed.after(delay.total_seconds())
    return [row["id"] for row in await pushed.webhooks("?state=undelivered")]


async def test_what_was_given_up_is_listed(
    pushed: Pushed, receiver: Receiver, tmp_path: Path
) -> None:
    assert await webhooks(tmp_path, "list") == (0, ["nothing is undelivered"], "")
    assert await webhooks(tmp_path, "list", "--all") == (0, ["nothing waits"], "")
    (first,) = await given_up(pushed, receiver, "1_1")
    await pushed.decides("2_1", receiver)
    await pushed.settled()
    status, lines, _ = await webhooks(tmp_path, "list")
    assert (status, lines) == (
        0,
        [f"{first} undelivered fta 1_1 {receiver.url('/hook')} after 8 attempts: answered 404"],
    )
    _, lines, _ = await webhooks(tmp_path, "list", "--all")
    assert [line.split()[1] for line in lines] == ["undelivered", "waiting"]
    _, lines, _ = await webhooks(tmp_path, "list", "--all", "--json")
    assert [json.loads(line) for line in lines] == await pushed.webhooks()
    _, lines, _ = await webhooks(tmp_path, "list", "--json")
    assert [json.loads(line)["id"] for line in lines] == [first]


async def test_what_was_given_up_is_sent_again_while_the_service_runs(
    pushed: Pushed, receiver: Receiver, tmp_path: Path
) -> None:
    first, second = await given_up(pushed, receiver, "1_1", "2_1")
    receiver.answers(200)
    status, lines, _ = await webhooks(tmp_path, "redeliver", first)
    assert (status, lines) == (0, [f"webhook {first} of 1_1 is sent again"])
    await until(lambda: receiver.subjects()[-1] == "1_1" and len(receiver.got) == 17)
    requeued = [e for e in await pushed.happened("1_1") if e["type"].endswith("requeued")]
    assert [(e["by"], e["via"]) for e in requeued] == [(shell_account(), "shell")]
    status, lines, _ = await webhooks(tmp_path, "redeliver", "--all")
    assert (status, lines) == (0, [f"webhook {second} of 2_1 is sent again"])
    await until(lambda: len(receiver.got) == 18)
    await pushed.settled()
    assert await webhooks(tmp_path, "redeliver", "--all") == (0, ["nothing is undelivered"], "")


async def test_what_cannot_be_sent_again_is_said_and_the_rest_is_sent(
    pushed: Pushed, receiver: Receiver, tmp_path: Path
) -> None:
    await pushed.decides("9_1", receiver)
    await pushed.settled()
    (delivered,) = await pushed.positions()
    (first,) = await given_up(pushed, receiver, "1_1")
    await pushed.service.stop()
    status, lines, _ = await webhooks(tmp_path, "redeliver", delivered, "999999", first)
    assert (status, lines) == (
        1,
        [
            f"webhook {delivered} was delivered; nothing is sent again",
            "there is no webhook 999999",
            f"webhook {first} of 1_1 is sent again",
        ],
    )


@pytest.mark.parametrize("arguments", [[], ["1", "--all"], ["0"], ["x"], ["-1"]])
async def test_what_redeliver_does_not_understand_is_said(
    tmp_path: Path, arguments: list[str]
) -> None:
    status, lines, _ = await webhooks(tmp_path, "redeliver", *arguments)
    assert (status, lines, files_in(tmp_path)) == (2, [], [])


@pytest.mark.parametrize(
    "arguments", [["list"], ["redeliver", "--all"], ["secret"], ["rotate-secret"]]
)
async def test_a_mistyped_database_is_not_made_anew(tmp_path: Path, arguments: list[str]) -> None:
    status, lines, errors = await webhooks(tmp_path, *arguments)
    assert (status, lines, files_in(tmp_path)) == (1, [], [])
    assert "there is no event store" in errors


async def test_words_of_others_have_no_power_over_a_terminal(
    pushed: Pushed, tmp_path: Path
) -> None:
    """The API takes no such address; but who knows what another version took."""
    url, now = "http://127.0.0.1:1/\x1b[31m\x9b", pushed.service.clock()
    asked: dict[str, Any] = {
        "obj_id": "1_1",
        "message": "m",
        "approvers": ["zhangsan"],
        "callback_url": url,
    }
    writer = pushed.service.app[keys.WRITER]
    await writer.execute(RequestApproval(at=now, engine="fta", **asked))
    await writer.execute(Cancel(at=now, engine="fta", reply_id="1_1", reason="x"))
    await pushed.settled()
    for arguments in (["list", "--all"], ["list", "--all", "--json"]):
        _, (line,), _ = await webhooks(tmp_path, *arguments)
        assert line.isprintable() and "31m" in line


async def verified(pushed: Pushed, receiver: Receiver, obj_id: str, secret: str) -> bool:
    """Whether a receiver with that secret believes the next decision."""
    receiver.answers(200)
    await pushed.decides(obj_id, receiver)
    await until(lambda: obj_id in receiver.subjects())
    await pushed.settled()
    (got,) = [got for got in receiver.got if got.subject == obj_id]
    headers: dict[str, Any] = dict(got.headers)
    try:
        Webhook(secret).verify(got.body, headers)
    except WebhookVerificationError:
        return False
    return True


async def test_a_new_secret_signs_at_once_and_the_one_before_for_a_day_longer(
    pushed: Pushed, receiver: Receiver, tmp_path: Path
) -> None:
    status, (old,), _ = await webhooks(tmp_path, "secret")
    assert status == 0
    assert await verified(pushed, receiver, "1_1", old)
    status, (new,), _ = await webhooks(tmp_path, "rotate-secret")
    assert status == 0 and new != old
    for number, secret in enumerate((old, new), 2):
        assert await verified(pushed, receiver, f"{number}_1", confidential.note("secret", secret))
    assert await webhooks(tmp_path, "secret") == (0, [new, old], "")


async def test_what_the_environment_sets_is_replaced_there(pushed: Pushed, tmp_path: Path) -> None:
    tokens = "fta:token-of-the-engine-fta"
    secrets = f"{A},fta:{B}"
    given = {"webhook_secret": secrets, "api_tokens": tokens}
    assert await webhooks(tmp_path, "secret", **given) == (0, [A], "")
    assert await webhooks(tmp_path, "secret", "fta", **given) == (0, [B], "")
    status, lines, errors = await webhooks(tmp_path, "rotate-secret", **given)
    assert (status, lines) == (1, []) and "FTA_APPROVAL_WEBHOOK_SECRET sets" in errors


async def test_a_mistyped_engine_gets_nobodys_secret(pushed: Pushed, tmp_path: Path) -> None:
    given = {"api_tokens": "fta:token-of-the-engine-fta"}
    status, (made,), _ = await webhooks(tmp_path, "secret", **given)
    confidential.note("secret", made)
    assert await webhooks(tmp_path, "secret", "fta", **given) == (0, [made], "")
    status, lines, errors = await webhooks(tmp_path, "secret", "ftaa", **given)
    assert (status, lines) == (2, []) and "'ftaa' is no engine" in errors

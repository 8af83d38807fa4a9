"""The manual of replies, row by row: what stands in docs/replies.zh-CN.md is what happens."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from adapters.simulator.wecom import SimulatedWeCom
from domain.commands import OpenPage
from tests.conftest import StartService
from tests.service import Service
from web import keys

MANUAL = Path(__file__).parent.parent / "docs" / "replies.zh-CN.md"

STATUS = {
    "pending": "待审批",
    "approved": "已同意",
    "rejected": "已驳回",
    "expired": "已超时",
    "cancelled": "已撤销",
}
OUTCOME = {"同意": "已同意", "驳回": "已驳回", "超时": "已超时"}
UNCHANGED = "不变"

# How the manual writes what nobody would see.
NOTATION = re.compile(r"␣|\\n|\\t|\\u([0-9a-f]{4})")
PLAIN = {"␣": " ", r"\n": "\n", r"\t": "\t"}


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    words: str
    situation: str
    outcome: str
    answer: str

    def __str__(self) -> str:
        return f"{self.situation}-{self.words.encode('unicode_escape').decode()}"

    @property
    def decided(self) -> dict[str, str]:
        """The new status of the one approval that changes, if one does."""
        if self.outcome == UNCHANGED:
            return {}
        verdict, reply_id = self.outcome.partition("：")[0].split(" ")
        return {reply_id: OUTCOME[verdict]}

    @property
    def reason(self) -> str | None:
        return self.outcome.partition("：")[2] or None


def cells(heading: str) -> list[list[str]]:
    """The cells of every table in the manual whose first column is called so."""
    found, columns = [], 0
    for line in MANUAL.read_text(encoding="utf-8").splitlines():
        if not line.startswith("|"):
            columns = 0
            continue
        row = [plain(cell) for cell in line.strip("|").split("|")]
        if row[0] == heading:
            columns = len(row)
        elif columns and set(row[0]) != {"-"}:
            found.append(row)
    return found


def plain(cell: str) -> str:
    """What a cell stands for: in code as it is, but for what is written for the eye."""
    code = cell.strip().strip("`")
    return NOTATION.sub(lambda seen: PLAIN.get(seen[0]) or chr(int(seen[1], 16)), code)


ROWS = [Row(*row) for row in cells("输入")]
SITUATIONS = {name: standing for name, standing, *_ in cells("情形")}


@dataclass
class Scene:
    """A service in which a situation is brought about, and zhangsan, who will answer."""

    service: Service
    asked: dict[str, Any] = field(default_factory=dict)

    async def ask(self, reply_id: str = "12345_2", **fields: Any) -> None:
        obj_id, _, run = reply_id.partition(".")
        self.asked[reply_id] = await self.service.ask(obj_id, run=int(run or 1), **fields)

    async def cancel(self, reply_id: str) -> None:
        path = f"/approvals/{self.asked[reply_id]['approval_id']}/cancel"
        status, _ = await self.service.api("POST", path, json={"reason": "告警已恢复"})
        assert status == 200

    async def says(self, userid: str, words: str) -> None:
        assert await self.service.says(userid, words) == 200

    async def wait(self, **delta: float) -> None:
        """Let time pass, after everything that was to be sent has been sent."""
        await self.service.quiet()
        self.service.clock.advance(**delta)

    async def look(self) -> dict[str, Any]:
        return {
            reply_id: await self.service.look(approval["approval_id"])
            for reply_id, approval in self.asked.items()
        }

    async def standing(self) -> dict[str, str]:
        return {name: STATUS[approval["status"]] for name, approval in (await self.look()).items()}


Setting = Callable[[Scene], Awaitable[None]]
SETTINGS: dict[str, Setting] = {}
"""How each situation of the manual comes about."""


def situation(name: str) -> Callable[[Setting], Setting]:
    def named(setting: Setting) -> Setting:
        SETTINGS[name] = setting
        return setting

    return named


@situation("无")
async def nothing(scene: Scene) -> None:
    pass


@situation("一项")
async def one(scene: Scene) -> None:
    await scene.ask()


@situation("两项")
async def two(scene: Scene) -> None:
    await scene.ask("12345_2")
    await scene.ask("12346_1")


@situation("六项")
async def six(scene: Scene) -> None:
    for number in range(12341, 12347):
        await scene.ask(f"{number}_1")


@situation("高风险")
async def high_risk(scene: Scene) -> None:
    await scene.ask(risk="high")


@situation("未送达")
async def not_delivered(scene: Scene) -> None:
    scene.service.wecom.script("message/send", 45002)
    await scene.ask(approvers=["zhangsan"])


@situation("刚结束")
async def another_ended_lately(scene: Scene) -> None:
    await two(scene)
    await scene.wait(minutes=10)
    await scene.cancel("12346_1")


@situation("刚批过")
async def just_decided_another(scene: Scene) -> None:
    await two(scene)
    await scene.says("zhangsan", "TY 12346_1")


@situation("早结束")
async def another_ended_before(scene: Scene) -> None:
    await two(scene)
    await scene.cancel("12346_1")
    await scene.wait(minutes=10)


@situation("第二次执行")
async def second_run(scene: Scene) -> None:
    await scene.ask(expires_in=60)
    await scene.wait(minutes=1)
    await scene.service.expire()
    await scene.ask("12345_2.2")


@situation("只有第二次")
async def second_run_only(scene: Scene) -> None:
    await scene.ask("12345_2.2")


@situation("本人同意过第一次")
async def approved_the_first_run(scene: Scene) -> None:
    await scene.ask()
    await scene.says("zhangsan", "TY 12345_2")
    await scene.ask("12345_2.2")


@situation("已同意")
async def approved(scene: Scene) -> None:
    await scene.ask()
    await scene.says("lisi", "TY 12345_2")


@situation("已驳回")
async def rejected(scene: Scene) -> None:
    await scene.ask()
    await scene.says("lisi", "BH 12345_2 磁盘没满")


@situation("已超时")
async def expired(scene: Scene) -> None:
    await scene.ask(expires_in=60)
    await scene.wait(minutes=1)
    await scene.service.expire()


@situation("刚过期")
async def overdue(scene: Scene) -> None:
    await scene.ask(expires_in=300)


@situation("已撤销")
async def cancelled(scene: Scene) -> None:
    await scene.ask()
    await scene.cancel("12345_2")


@situation("本人已同意")
async def approved_oneself(scene: Scene) -> None:
    await scene.ask()
    await scene.says("zhangsan", "TY 12345_2")


@situation("本人已驳回")
async def rejected_oneself(scene: Scene) -> None:
    await scene.ask()
    await scene.says("zhangsan", "BH 12345_2")


@situation("他人的")
@situation("管理员")
async def somebody_elses(scene: Scene) -> None:
    await scene.ask(approvers=["lisi"])


@situation("本人发起")
async def ones_own(scene: Scene) -> None:
    await scene.ask(requested_by="zhangsan")


@situation("字母编号")
async def letters(scene: Scene) -> None:
    for obj_id in ("alpha", "beta", "host-A_1"):
        await scene.ask(obj_id)


@situation("大小写两项")
async def but_for_case(scene: Scene) -> None:
    for obj_id in ("ab_1", "AB_1"):
        await scene.ask(obj_id)


@situation("过长")
async def too_long(scene: Scene) -> None:
    await scene.ask(message="清" * 2000)


@situation("过长并已打开")
async def too_long_and_opened(scene: Scene) -> None:
    await too_long(scene)
    await scene.wait(minutes=1)
    opened = OpenPage(at=scene.service.clock(), by="zhangsan", reply_id="12345_2")
    await scene.service.app[keys.WRITER].execute(opened)


def written(standing: dict[str, str]) -> str:
    """As the manual writes it."""
    return "、".join(f"{reply_id} {status}" for reply_id, status in standing.items()) or "无"


def test_the_manual_has_the_situations_that_are_tried_and_uses_them() -> None:
    assert list(SITUATIONS) == list(dict.fromkeys(SITUATIONS))
    assert set(SITUATIONS) == set(SETTINGS) == {row.situation for row in ROWS}


def test_the_manual_says_nothing_twice() -> None:
    assert len({(row.words, row.situation) for row in ROWS}) == len(ROWS) >= 200


@pytest.fixture
async def scene(row: Row, start: StartService, wecom: SimulatedWeCom) -> Scene:
    """The situation of that row, five minutes later, with nothing on its way."""
    service = await start(super_approvers="zhangsan" if row.situation == "管理员" else "")
    service.hurry()
    scene = Scene(service)
    await SETTINGS[row.situation](scene)
    await scene.wait(minutes=5)
    return scene


@pytest.mark.parametrize("row", ROWS, ids=str)
async def test_what_the_manual_says_is_what_happens(row: Row, scene: Scene) -> None:
    before = await scene.standing()
    assert written(before) == SITUATIONS[row.situation]
    heard_before = len(await scene.service.answers("zhangsan", 0))
    await scene.says("zhangsan", row.words)
    heard = (await scene.service.answers("zhangsan", heard_before + 1))[heard_before:]
    assert heard == [row.answer]
    assert await scene.standing() == before | row.decided
    by = "zhangsan" if row.outcome.startswith(("同意", "驳回")) else None  # the clock is nobody
    for reply_id in row.decided:
        decided = (await scene.look())[reply_id]
        assert (decided["decided_by"], decided["reason"]) == (by, row.reason)

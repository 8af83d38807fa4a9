"""`fta-approval audit verify`, `prove`, `check` and `key`, as an auditor types them."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from adapters.evidence.heads import TreeHead
from adapters.evidence.keys import given_keys
from adapters.evidence.proofs import BadProof, check_proof
from adapters.store.event_store import open_event_store
from domain.audit import Audit
from domain.identity import approval_id
from tests.process import SCRIPT
from tests.tampering import Evidence, tail_removed
from web.audit import commands, evidence_commands
from web.in_force import EDITABLE
from web.settings import Settings, read_settings

ENDED_WITHIN_S = 60.0
DOCS = Path(__file__).parent.parent / "docs"


async def run(*words: object, **environment: str) -> tuple[int | None, str, str]:
    """Status, output and errors of a command with exactly this environment."""
    process = await asyncio.create_subprocess_exec(
        *map(str, (SCRIPT, "audit", *words)),
        env={"PATH": "/usr/bin:/bin", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), ENDED_WITHIN_S)
    return process.returncode, out.decode(), err.decode()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    return Evidence.made(tmp_path_factory.mktemp("made"), 200, heads=5)


@pytest.fixture
def evidence(made: Evidence, tmp_path: Path) -> Evidence:
    return made.copied(tmp_path / "copy")


def heads_file(folder: Path, *heads: TreeHead) -> Path:
    file = folder / "heads.jsonl"
    file.write_text("".join(head.text() + "\n" for head in heads))
    return file


async def audit(evidence: Evidence, *words: object, **more: str) -> tuple[int | None, str, str]:
    return await run(*words, FTA_APPROVAL_DATABASE=evidence.url, **more)


def key_file(evidence: Evidence, folder: Path) -> Path:
    (key,) = evidence_commands.keys_of(settings_of(evidence))
    (folder / "key.txt").write_text(f"# handed over in January\n{key.public}  # {key.key_id}\n")
    return folder / "key.txt"


def settings_of(evidence: Evidence) -> Settings:
    return read_settings({"FTA_APPROVAL_DATABASE": evidence.url})


def here(*words: object) -> tuple[int, str]:
    """Status and everything said by a command that reads no settings, in this process."""
    done = CliRunner().invoke(commands.audit, [str(word) for word in words])
    return done.exit_code, done.output


# verify


async def test_without_a_head_from_outside_it_is_consistent_in_itself_and_no_more(
    evidence: Evidence,
) -> None:
    status, said, shown = await audit(evidence, "verify")
    assert status == 0 and "verifying" in shown
    assert said.splitlines()[0].startswith("205 events up to position 205 in ")
    assert said.splitlines()[-1].startswith("consistent in itself. Without a head from outside")
    assert "keys that the store itself names" in said
    with closing(open_event_store(evidence.url)) as store:
        found = store.newest_verification()
    assert isinstance(found, Audit.Verified) and found.problem is None
    assert found.by.startswith("shell:") and found.via == "shell"
    assert (found.tree_size, found.root_hash) == (205, evidence.heads()[-1].root_hash)


async def test_heads_from_outside_are_what_it_agrees_with(
    evidence: Evidence, tmp_path: Path
) -> None:
    heads = evidence.heads()
    file = heads_file(tmp_path, *heads[:3])
    with file.open("a") as unfinished:
        unfinished.write('{"key_id":')
    for words, more in (
        (("--heads", file), {}),
        ((), {"FTA_APPROVAL_TREE_HEADS": str(file)}),
    ):
        status, said, _ = await audit(evidence, "verify", "--no-record", *words, **more)
        assert status == 0
        assert f"agrees with 3 heads from outside, the last of size {heads[2].tree_size}" in said
        assert "lines of the file of heads that are unfinished or no heads: 4" in said
    assert evidence.rows("SELECT 1 FROM stored_events WHERE topic = 'audit.verified'") == []


@pytest.mark.parametrize("text", ["", "no head\n", "{}", '{"tree_head": null}'])
async def test_a_file_that_was_named_and_holds_no_head_is_not_passed_over(
    evidence: Evidence, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "heads.jsonl"
    file.write_text(text)
    status, said, errors = await audit(evidence, "verify", "--heads", file)
    assert (status, said) == (1, "")
    assert f"{file} holds no tree head" in errors
    status, said, _ = await audit(evidence, "verify", FTA_APPROVAL_TREE_HEADS=str(file))
    assert status == 0 and "consistent in itself. Without" in said  # it may be new


async def test_a_head_may_stand_over_several_lines_and_in_the_answer_of_an_engine(
    evidence: Evidence, tmp_path: Path
) -> None:
    head, file = json.loads(evidence.heads()[0].text()), tmp_path / "head.json"
    decisions = [{"id": number, "message": "重" * 100} for number in range(100)]
    for text in (
        json.dumps(head, indent=2),
        json.dumps({"decisions": decisions, "tree_head": head}),
    ):
        file.write_text(text)
        status, said, _ = await audit(evidence, "verify", "--no-record", "--heads", file)
        assert status == 0 and "agrees with 1 head from outside" in said
        assert "unfinished" not in said


async def test_a_key_from_outside_goes_before_those_of_the_store(
    evidence: Evidence, tmp_path: Path
) -> None:
    key = key_file(evidence, tmp_path)
    for given in (key, key.read_text().splitlines()[1].split()[0]):
        status, said, _ = await audit(evidence, "verify", "--no-record", "--key", given)
        assert status == 0 and "the store itself names" not in said
    other = "A" * 43 + "="
    status, said, _ = await audit(evidence, "verify", "--no-record", "--key", other)
    assert status == 1 and "is none of the keys" in said
    status, _, errors = await audit(evidence, "verify", "--key", "short")
    assert status == 1 and "'short' is neither a public key (base64 of 32 bytes) nor" in errors


async def test_what_is_wrong_is_the_last_line_and_the_status(
    evidence: Evidence, tmp_path: Path
) -> None:
    file = heads_file(tmp_path, *evidence.heads())
    tail_removed(evidence, evidence.heads()[-2].tree_size)
    status, said, _ = await audit(evidence, "verify", "--no-record")
    assert status == 0
    status, said, _ = await audit(evidence, "verify", "--no-record", "--heads", file)
    last = said.splitlines()[-1]
    assert status == 1 and last.startswith("NOT as it was recorded: the events after position")
    status, said, _ = await audit(evidence, "verify", "--json", "--heads", file)
    found = json.loads(said)
    assert status == 1 and found["ok"] is False and found["verdict"] == last
    assert found["problem"]["kind"] == "removed" and found["covered"] == found["events"]
    with closing(open_event_store(evidence.url)) as store:
        kept = store.newest_verification()
    assert isinstance(kept, Audit.Verified) and kept.problem == found["problem"]["sentence"]


async def test_foreign_text_has_no_power_over_the_terminal(evidence: Evidence) -> None:
    evidence.alter(
        "UPDATE stored_events SET originator_id = 'approval-' || char(27) || '[2J' "
        "WHERE position = 9"
    )
    status, said, _ = await audit(evidence, "verify", "--no-record")
    assert status == 1 and "\x1b" not in said and r"approval-\x1b[2J" in said


async def test_a_copy_that_cannot_be_written_is_verified(
    evidence: Evidence, tmp_path: Path
) -> None:
    evidence.path.chmod(0o400)
    evidence.path.parent.chmod(0o500)
    before = sorted(path.name for path in evidence.path.parent.iterdir())
    try:
        status, said, _ = await audit(evidence, "verify", "--no-record")
        after = sorted(path.name for path in evidence.path.parent.iterdir())
    finally:
        evidence.path.parent.chmod(0o700)
    assert status == 0 and "consistent in itself" in said
    if os.geteuid():  # nothing keeps root from writing
        assert after == before


async def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    missing = Evidence(tmp_path / "missing.db")
    for words in (("verify",), ("prove", "1_1")):
        status, _, errors = await audit(missing, *words)
        assert status == 1 and "there is no event store at" in errors
    assert not missing.path.exists()


def test_who_may_edit_settings_does_not_choose_where_heads_go() -> None:
    assert "tree_heads" in Settings.model_fields and "tree_heads" not in EDITABLE


# prove and check


async def test_a_proof_of_an_approval_is_checked_without_store_and_settings(
    evidence: Evidence, tmp_path: Path
) -> None:
    key, proof = key_file(evidence, tmp_path), tmp_path / "proof.json"
    status, said, _ = await audit(evidence, "prove", "3_1", "-o", proof)
    assert (status, said) == (0, "")
    by_uuid = await audit(evidence, "prove", approval_id("approval-3_1"))
    assert by_uuid[0] == 0 and json.loads(by_uuid[1]) == json.loads(proof.read_text())
    shutil.rmtree(evidence.path.parent)
    broken = {"FTA_APPROVAL_DATABASE": "nonsense", "FTA_APPROVAL_API_RATE": "x"}
    status, said, _ = await run("check", proof, "--key", key, **broken)
    lines = said.splitlines()
    assert status == 0 and lines[0].startswith("Proved: these 3 events of 3_1 stand in log ")
    assert [line.split()[2] for line in lines[1:4]] == [
        *("approval.requested", "approval.notified", "approval.cancelled")
    ]
    assert lines[4].startswith("Not proved: that nothing happened to it later")
    assert lines[5].startswith("Not proved: that others were shown the same head")


async def test_a_proof_has_to_lead_to_a_head_that_was_kept(
    evidence: Evidence, tmp_path: Path
) -> None:
    key, proof = key_file(evidence, tmp_path), tmp_path / "proof.json"
    kept = heads_file(tmp_path, evidence.heads()[2])
    await audit(evidence, "prove", "3_1", "-o", proof)
    status, said = here("check", proof, "--key", key, "--head", kept)
    assert status == 1 and "which is none of those given" in said
    await audit(evidence, "prove", "3_1", "--head", kept, "-o", proof)
    status, said = here("check", proof, "--key", key, "--head", kept)
    assert status == 0 and "others were shown" not in said


def altered(proof: dict[str, Any], *path: Any, to: Any) -> dict[str, Any]:
    changed: Any = json.loads(json.dumps(proof))
    place = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to(place[path[-1]])
    return dict(changed)


def one_more(number: int) -> int:
    return number + 1


@pytest.mark.parametrize(
    ("path", "to"),
    [
        (("events", 1, "state"), lambda text: text.replace("zhangsan", "lisi")),
        (("events", 1, "topic"), lambda text: "approval.approved"),
        (("events", 1, "position"), one_more),
        (("events", 1, "leaf_index"), one_more),
        (("events", 1, "version"), one_more),
        (("events", 1, "path"), lambda path: path[1:]),
        (("events", 1, "path", 0), lambda step: "A" * 43 + "="),
        (("events", 1, "path", 0), lambda step: "x"),
        (("events",), lambda events: events[:1] + events[2:]),
        (("events",), lambda events: []),
        (("stream",), lambda name: "approval-4_1"),
        (("head", "tree_size"), one_more),
        (("head", "timestamp"), lambda at: "2026-05-05T12:00:00.000Z"),
        (("head", "signature"), lambda signature: "A" * 86 + "=="),
        (("head", "root_hash"), lambda root: "A" * 43 + "="),
        (("head", "key_id"), lambda name: "another"),
        (("head",), lambda head: None),
        (("format",), lambda form: "fta-approval inclusion proof 2"),
    ],
)
def test_whatever_is_altered_in_a_proof_is_noticed(
    evidence: Evidence, tmp_path: Path, path: tuple[Any, ...], to: Any
) -> None:
    settings = settings_of(evidence)
    keys = given_keys(evidence_commands.keys_of(settings)[-1].public)
    proof = evidence_commands.prove(settings, "3_1", None)
    check_proof(json.dumps(proof), keys)
    with pytest.raises(BadProof):
        check_proof(json.dumps(altered(proof, *path, to=to)), keys)


async def test_an_altered_event_is_not_proved(evidence: Evidence) -> None:
    evidence.alter(
        "UPDATE stored_events SET state = replace(state, 'fta', 'ftb') "
        "WHERE originator_id = 'approval-3_1'"
    )
    status, said, errors = await audit(evidence, "prove", "3_1")
    assert status == 1 and said == "" and "was altered: see audit verify" in errors
    status, _, errors = await audit(evidence, "prove", "no_such")
    assert status == 1 and "there is no approval no_such" in errors


async def test_events_that_a_proof_does_not_hold_are_counted(
    evidence: Evidence, tmp_path: Path
) -> None:
    early = heads_file(tmp_path, evidence.heads()[1])  # between two events of 15_1
    status, said, errors = await audit(evidence, "prove", "15_1", "--head", early)
    left_out = json.loads(said)["not_covered"]
    assert status == 0 and left_out > 0
    assert f"not in the proof: the newest {left_out} of its events, which that head" in errors
    status, _, errors = await audit(evidence, "prove", "15_1")
    assert (status, errors) == (0, "")


def test_whoever_reads_may_stop_reading(evidence: Evidence, tmp_path: Path) -> None:
    for words in (
        *(("audit", *command.split()) for command in ("show 3_1", "replay --at now", "prove 3_1")),
        ("backup", str(tmp_path / "copy.db")),
    ):
        nobody, stdout = os.pipe()
        os.close(nobody)
        with os.fdopen(stdout, "wb") as pipe:
            done = subprocess.run(
                [SCRIPT, *words],
                env={"PATH": "/usr/bin:/bin", "FTA_APPROVAL_DATABASE": evidence.url},
                stdout=pipe,
                stderr=subprocess.PIPE,
                timeout=ENDED_WITHIN_S,
                check=False,
            )
        assert done.returncode == 1
        assert b"Broken" not in done.stderr and b"Traceback" not in done.stderr, words


async def test_a_later_head_is_proved_to_add_to_an_earlier_one(
    evidence: Evidence, tmp_path: Path
) -> None:
    key, proof = key_file(evidence, tmp_path), tmp_path / "proof.json"
    early = heads_file(tmp_path, *evidence.heads()[:2])
    await audit(evidence, "prove", "--from", early, "-o", proof)
    status, said = here("check", proof, "--key", key, "--head", early)
    first, last = evidence.heads()[1], evidence.heads()[-1]
    assert status == 0
    assert f"({last.tree_size} events) begins with all {first.tree_size} events" in said
    third = heads_file(tmp_path, evidence.heads()[2])
    status, said = here("check", proof, "--key", key, "--head", third)
    assert status == 1 and "neither of its heads is one of those given" in said
    for path in (("from", "tree_size"), ("to", "tree_size")):
        bad = altered(json.loads(proof.read_text()), *path, to=one_more)
        (tmp_path / "bad.json").write_text(json.dumps(bad))
        status, said = here("check", tmp_path / "bad.json", "--key", key)
        assert status == 1 and said.startswith("NOT proved: ")


@pytest.mark.parametrize("words", ["", "1_1 --from x", "--to x", "--from x --head y", "1_1 --to x"])
def test_a_proof_is_of_one_thing(words: str) -> None:
    status, said = here("prove", *words.split())
    assert status == 2 and "name an ID" in said


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    status, said = here("check", tmp_path / "none", "--key", "A" * 43 + "=")
    assert status == 1 and "No such file" in said
    (tmp_path / "proof").write_text("{}")
    assert here("check", tmp_path / "proof", "--key", "A" * 43 + "=") == (
        1,
        "NOT proved: it is no proof of this program\n",
    )
    assert here("check", tmp_path / "proof")[0] == 2
    for wrong in (b"{}", b"\xf8\x00"):
        (tmp_path / "proof").write_bytes(wrong)
        status, said = here("check", tmp_path / "proof", "--key", tmp_path / "proof")
        assert status == 1
        assert said == f"Error: {tmp_path / 'proof'} holds a line that begins with no public key\n"
    key = ("--key", "A" * 43 + "=", "--head", tmp_path / "proof")
    status, said = here("check", tmp_path / "proof", *key)
    assert (status, said) == (1, f"Error: {tmp_path / 'proof'} holds no tree head: it is no JSON\n")


async def test_public_keys_are_printed_for_people_and_programs(evidence: Evidence) -> None:
    _, said, _ = await audit(evidence, "key")
    status, as_json, _ = await audit(evidence, "key", "--json")
    (key,) = evidence_commands.keys_of(settings_of(evidence))
    assert said == f"{key.public}  # {key.key_id}, since 2026-05-04T12:00:00Z\n"
    found = json.loads(as_json)
    assert status == 0 and (found["key_id"], found["public"]) == (key.key_id, key.public)


# Without us.


def test_the_checker_of_the_manual_checks_a_proof(evidence: Evidence, tmp_path: Path) -> None:
    """It stands in docs/audit.md, and uses nothing of ours."""
    (program,) = re.findall(
        r"```python\n(.*?)```", (DOCS / "audit.md").read_text(encoding="utf-8"), re.DOTALL
    )
    assert len(program.splitlines()) <= 40 and "adapters" not in program
    (tmp_path / "check.py").write_text(program)
    settings = {"FTA_APPROVAL_DATABASE": evidence.url, "PATH": "/usr/bin:/bin"}
    proof = _output(SCRIPT, "audit", "prove", "3_1", env=settings)
    key = _output(SCRIPT, "audit", "key", env=settings).split()[0]
    (tmp_path / "proof.json").write_text(proof)
    said = _output(sys.executable, "check.py", "proof.json", key, cwd=tmp_path)
    assert said.startswith("3 events")
    for wrong in (proof.replace("zhangsan", "lisi"), proof.replace("12:00:00.000", "13:00:00.000")):
        (tmp_path / "proof.json").write_text(wrong)
        with pytest.raises(subprocess.CalledProcessError):
            _output(sys.executable, "check.py", "proof.json", key, cwd=tmp_path)


def _output(*words: object, **more: Any) -> str:
    command = [str(word) for word in words]
    done = subprocess.run(command, check=True, capture_output=True, timeout=ENDED_WITHIN_S, **more)
    return bytes(done.stdout).decode()

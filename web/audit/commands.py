"""`fta-approval audit`."""

import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from web.audit.options import filters
from web.shell import given_settings

LANGUAGES = click.Choice(("en", "zh"))


@click.group()
def audit() -> None:
    """The history: what happened, and proof that nothing of it was altered."""


@audit.command("access-review")
@click.option("--from", "first", type=click.DateTime(["%Y-%m-%d"]), help="First day.")
@click.option("--to", "last", type=click.DateTime(["%Y-%m-%d"]), help="Last day.")
@click.option("--bom", is_flag=True, help="Let Excel know that it is UTF-8.")
def access_review(first: datetime | None, last: datetime | None, bom: bool) -> None:
    """
    Print who had which right from when to when, and what was decided as a super approver; as CSV.

    Rights are those of admins, auditors, super approvers and named tokens of engines, each with who
    set it and by which way: page, shell, or environment as it was at a start of the service. Days
    are those of FTA_APPROVAL_TIME_ZONE. That somebody took it is recorded.

    \b
    Example:
        fta-approval audit access-review --from 2026-01-01 --to 2026-03-31 > review.csv
    """
    from web.audit.access_review import access_review as review
    from web.shell import run_on_store

    if first is not None and last is not None and last < first:
        raise click.BadParameter("is before --from", param_hint="--to")
    begin, end = (day.date() if day is not None else None for day in (first, last))
    run_on_store(review(given_settings(), begin, end, _written, bom=bom))


def _written(line: str) -> None:
    """To a terminal without power over it, elsewhere byte for byte."""
    from web.findings import say

    if sys.stdout.isatty():
        say(line.rstrip("\r\n"))
    else:
        sys.stdout.buffer.write(line.encode("utf-8", "backslashreplace"))


@audit.command("verify")
@click.option(
    "--heads",
    metavar="FILE",
    help="Tree heads that were kept outside the store, one a line; by default the file of "
    "FTA_APPROVAL_TREE_HEADS.",
)
@click.option(
    "--key", metavar="KEY", help="Public key in base64, or a file of them, as you have kept it."
)
@click.option("--projections", is_flag=True, help="Compare read models with the events, too.")
@click.option("--no-record", is_flag=True, help="Do not record in the history that it was done.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object; with --projections two.")
def verify_all(
    heads: str | None, key: str | None, projections: bool, no_record: bool, as_json: bool
) -> None:
    """
    Compute everything anew from the stored events, and name the first thing that was altered.

    Needs the event store's file alone; the service may go on meanwhile. That it was done becomes
    an event of that file: verify copies with --no-record, which writes nothing. With --projections
    the read models, by which lists and searches are made, are made anew beside the live ones and
    compared row by row. Exit status 1 if anything is not as it was recorded.

    \b
    Example: by heads that an engine has kept, and by the key as it was handed over
        fta-approval audit verify --heads kept.jsonl --key tree-key.txt
    """
    from web.audit import evidence_commands

    settings = given_settings()
    is_good = evidence_commands.verify(
        settings, heads, key, as_json=as_json, is_recorded=not no_record
    )
    if projections:
        is_good = evidence_commands.verify_projections(settings, as_json=as_json) and is_good
    if not is_good:
        sys.exit(1)


@audit.command("prove")
@click.argument("approval", metavar="[ID]", required=False)
@click.option("--head", metavar="FILE", help="The head that it is to lead to, not the newest.")
@click.option("--from", "earlier", metavar="FILE", help="Prove consistency since this head.")
@click.option("--to", "later", metavar="FILE", help="With --from: up to this head.")
@click.option("-o", "output", metavar="FILE", help="Where to write; default: standard output.")
def prove(
    approval: str | None,
    head: str | None,
    earlier: str | None,
    later: str | None,
    output: str | None,
) -> None:
    """
    Write a proof that stands by itself, for audit check.

    Of an approval (ID: its reply_id or approval_id): that its events, which the proof holds, are in
    the log. Or with --from: that the log since then was only added to. Files of heads may hold
    many; the last one counts.

    \b
    Example:
        fta-approval audit prove 12345_2 -o proof.json
        fta-approval audit prove --from head-of-january.json -o since.json
    """
    from web.audit import evidence_commands

    if (approval is None) == (earlier is None) or (later and not earlier) or (head and earlier):
        raise click.UsageError("name an ID (with --head, if you like), or give --from (with --to)")
    settings = given_settings()
    if approval is not None:
        proof = evidence_commands.prove(settings, approval, head)
    else:
        proof = evidence_commands.prove_consistency(settings, earlier or "", later)
    evidence_commands.write(proof, output)


@audit.command("check")
@click.argument("file", metavar="FILE")
@click.option(
    "--key", metavar="KEY", required=True, help="Public key in base64, or a file of them."
)
@click.option("--head", metavar="FILE", help="Heads that you have kept: it has to lead to one.")
def check(file: str, key: str, head: str | None) -> None:
    """
    Check a proof that audit prove has written.

    Needs the proof and the public key, and neither a store nor settings. Exit status 1 if it proves
    nothing.

    \b
    Example:
        fta-approval audit check proof.json --key tree-key.txt --head kept.jsonl
    """
    from web.audit import evidence_commands

    if not evidence_commands.check(file, key, head):
        sys.exit(1)


@audit.command("key")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def show_keys(as_json: bool) -> None:
    """
    Print the public keys of tree heads, the one in use last: hand them over before you need them.

    \b
    Example:
        fta-approval audit key > tree-key.txt
    """
    import json

    from web.audit import evidence_commands
    from web.findings import say

    for key in evidence_commands.keys_of(given_settings()):
        if as_json:
            said = {"key_id": key.key_id, "public": key.public, "made_at": key.made_at}
            click.echo(json.dumps(said))
        else:
            say(f"{key.public}  # {key.key_id}, since {key.made_at}")


@audit.command("show")
@click.argument("name", metavar="ID")
@click.option("--language", type=LANGUAGES, default="en", help="Of the words; English unless said.")
@click.option("--pseudonyms", is_flag=True, help="Members under other names.")
@click.option("--json", "as_json", is_flag=True, help="The stored events, one JSON object a line.")
def show(name: str, language: str, pseudonyms: bool, as_json: bool) -> None:
    """
    Show everything about one approval: what was asked, who was told, who answered, what came of it.

    ID is what an approver types (12345_2, or 12345_2.3 for run 3), the obj_id of a node, of which
    the latest run is shown, or an approval_id. Reads the event store alone and writes nothing, so a
    copy of it will do. Exit status 1 if there is none.

    \b
    Example:
        fta-approval audit show 12345_2.3
        FTA_APPROVAL_DATABASE=sqlite:///copy.db fta-approval audit show 12345_2 --json
    """
    from web.app import utc_now
    from web.audit.reading import looking
    from web.audit.show import show as show_approval
    from web.findings import say

    with looking(language):
        settings = given_settings()
        show_approval(settings, name, utc_now(), say, as_json=as_json, pseudonyms=pseudonyms)


@audit.command("replay")
@click.argument("name", metavar="[ID]", required=False)
@click.option("--at", required=True, metavar="TIME", help="As of when.")
@click.option("--diff", "until", metavar="TIME", help="What changed after that, until then.")
@click.option("--language", type=LANGUAGES, default="en", help="Of the words; English unless said.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line; every approval.")
def replay(name: str | None, at: str, until: str | None, language: str, as_json: bool) -> None:
    """
    Show what was the case at a moment: of everything, or of one approval.

    How many approvals there were of each status, what waited, whether approving was frozen, which
    settings were in force. With --diff: which approvals changed from the one moment to the other,
    and which settings. TIME is ISO 8601, in the configured zone where it names none; a date alone
    is its beginning; or now. ID is as in `audit show`. Reads the event store alone and writes
    nothing, so a copy of it will do. Exit status 1 if there is, or was, no such approval.

    \b
    Example:
        fta-approval audit replay --at 2026-05-04T20:00
        fta-approval audit replay --at 2026-05-04 --diff 2026-05-05
        fta-approval audit replay --at 2026-05-04T12:00:00Z 12345_2
    """
    from web.app import utc_now
    from web.audit import difference
    from web.audit import replay as replaying
    from web.audit.moments import WrongTime
    from web.audit.reading import looking
    from web.findings import say

    given, now = given_settings(), utc_now()
    try:
        with looking(language):
            if until is None:
                replaying.replay(given, at, name, now, say, as_json=as_json)
            else:
                difference.difference(given, at, until, name, now, say, as_json=as_json)
    except (WrongTime, difference.NotLater) as error:
        raise click.UsageError(str(error)) from None


@audit.command("search")
@filters
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@click.option("--pseudonyms", is_flag=True, help="Members under other names.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def search(limit: int, pseudonyms: bool, as_json: bool, **given: Any) -> None:
    """
    Find approvals, newest first; who looks for what is recorded.

    With --events KIND it finds events instead: all, approvals, messages, logins, configuration,
    keys, freezes, webhooks, looks, exports, verifications, installation, audit, or a stored name
    such as freeze.began. --member is then who did it, or was written to. The service may go on
    meanwhile.

    \b
    Example:
        fta-approval audit search --member zhangsan --from 2026-05-01 --status rejected
        fta-approval audit search --events logins --events exports --from 2026-05-04
    """
    from web.audit.options import read_filters
    from web.audit.search import Behind, Question, look_for
    from web.findings import say
    from web.shell import run_on_store, settings_in_force

    of_events = bool(given["kinds"])
    wanted = read_filters(settings_in_force(), given, of_events=of_events)
    if of_events and wanted.of_approval != type(wanted)().of_approval:
        raise click.UsageError("--business, --engine, --status and --words find approvals")
    question = Question(
        filters=wanted, events=of_events, limit=limit, as_json=as_json, pseudonyms=pseudonyms
    )
    try:
        run_on_store(look_for(given_settings(), question, say))
    except Behind as error:
        raise click.ClickException(str(error)) from None


@audit.command("export")
@filters
@click.option("--what", type=click.Choice(["events", "approvals"]), default="events")
@click.option("--form", type=click.Choice(["jsonl", "csv"]), default="jsonl", show_default=True)
@click.option("--bom", is_flag=True, help="Let Excel know that a CSV is UTF-8.")
@click.option("--pseudonyms", is_flag=True, help="Members under other names.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="- or nothing: standard output.",
)
def export(
    what: str, form: str, bom: bool, pseudonyms: bool, output: Path | None, **given: Any
) -> None:
    """
    Take a part of the history out, oldest first: every event, or every approval as it stands.

    Who takes what is recorded first; nothing is given out otherwise. Of events, --business,
    --engine, --status and --words are about the approval that an event belongs to. FILE can be
    read by you alone, and is there whole or not at all. A CSV is safe to open in a spreadsheet:
    an apostrophe stands before what would be a formula. The service may go on meanwhile.

    \b
    Example:
        fta-approval audit export -o history.jsonl
        fta-approval audit export --what approvals --form csv --from 2026-05-01 -o may.csv
    """
    from web.audit.export import Extract, Form, What
    from web.audit.options import read_filters
    from web.audit.taking import take
    from web.shell import run_on_store, settings_in_force

    of_events = what == What.EVENTS
    if given["kinds"] and not of_events:
        raise click.UsageError("--events and --what approvals do not go together")
    extract = Extract(
        what=What(what),
        form=Form(form),
        filters=read_filters(settings_in_force(), given, of_events=of_events),
        bom=bom,
    )
    to = None if output is None or str(output) == "-" else output
    run_on_store(take(given_settings(), extract, to, pseudonyms=pseudonyms))

"""`fta-approval audit`."""

from pathlib import Path
from typing import Any

import click

from web.audit.options import filters


@click.group()
def audit() -> None:
    """The history: what happened, and proof that nothing of it was altered."""


@audit.command("search")
@filters
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True)
@click.option("--pseudonyms", is_flag=True, help="Members under other names.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def search(limit: int, pseudonyms: bool, as_json: bool, **given: Any) -> None:
    """
    Find approvals, newest first; who looks for what is recorded.

    With --events KIND it finds events instead: all, approvals, messages, logins, configuration,
    keys, freezes, webhooks, looks, exports, verifications, or a stored name such as freeze.began.
    --member is then who did it, or was written to. The service may go on meanwhile.

    \b
    Example:
        fta-approval audit search --member zhangsan --from 2026-05-01 --status rejected
        fta-approval audit search --events logins --events exports --from 2026-05-04
    """
    from web.audit.options import read_filters
    from web.audit.search import Behind, Question, look_for
    from web.findings import say
    from web.shell import given_settings, run_on_store, settings_in_force

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
    from web.shell import given_settings, run_on_store, settings_in_force

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

"""`fta-approval audit`."""

import click

LANGUAGES = click.Choice(("en", "zh"))


@click.group()
def audit() -> None:
    """The history: what happened, and proof that nothing of it was altered."""


@audit.command("show")
@click.argument("name", metavar="ID")
@click.option("--language", type=LANGUAGES, default="en", help="Of the words; English unless said.")
@click.option("--json", "as_json", is_flag=True, help="The stored events, one JSON object a line.")
def show(name: str, language: str, as_json: bool) -> None:
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
    from web.shell import given_settings

    with looking(language):
        show_approval(given_settings(), name, utc_now(), say, as_json=as_json)


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
    from web.shell import given_settings

    given, now = given_settings(), utc_now()
    try:
        with looking(language):
            if until is None:
                replaying.replay(given, at, name, now, say, as_json=as_json)
            else:
                difference.difference(given, at, until, name, now, say, as_json=as_json)
    except (WrongTime, difference.NotLater) as error:
        raise click.UsageError(str(error)) from None

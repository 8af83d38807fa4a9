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

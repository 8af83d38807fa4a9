"""`fta-approval audit`."""

import sys
from datetime import datetime

import click


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
    from web.shell import given_settings, run_on_store

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

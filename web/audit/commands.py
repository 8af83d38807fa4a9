"""`fta-approval audit`."""

import click


@click.group()
def audit() -> None:
    """The history: what happened, and proof that nothing of it was altered."""

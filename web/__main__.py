"""The `fta-approval` command."""

import importlib.metadata
import sys

import click

from web.audit.commands import audit
from web.logs import set_up_logs
from web.shell import (
    given_settings,
    listen_on,
    run,
    run_on_store,
    say_plainly,
    settings_in_force,
)

MAX_WHY = 200


def main() -> None:
    """What the console script calls."""
    cli(prog_name="fta-approval")


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Settings are environment variables that begin with FTA_APPROVAL_; see README.md. "
    "Exit status: 0 fine, 1 failed, 2 wrong settings or usage.",
)
@click.version_option(
    importlib.metadata.version("fta-approval"),
    prog_name="fta-approval",
    message="%(prog)s %(version)s",
)
def cli() -> None:
    """Approval by WeCom (企业微信) for BlueKing fault self-healing (故障自愈)."""
    set_up_logs()


@cli.command()
@click.option(
    "--listen", metavar="HOST:PORT", help="Instead of FTA_APPROVAL_LISTEN; port 0 picks a free one."
)
def serve(listen: str | None) -> None:
    """
    Serve: web, projections, sending to WeCom, expiry.

    Prints one line when ready. SIGTERM finishes what is under way and exits 0.

    \b
    Example:
        FTA_APPROVAL_API_TOKENS=fta:... fta-approval serve --listen 127.0.0.1:8000
    """
    from web.serving import serve as serve_until_stopped

    settings = given_settings(**({"listen": listen} if listen else {}))
    listening = listen_on(*settings.address)
    run(serve_until_stopped(settings, listening, say=say_plainly))


@cli.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65533),
    default=8000,
    show_default=True,
    help="Of the service; WeCom and engine take the next two. 0 picks free ones.",
)
@click.option(
    "--folder", type=click.Path(file_okay=False), help="Where to keep the data; default: nowhere."
)
@click.option(
    "--speed",
    type=click.IntRange(1, 60),
    default=1,
    show_default=True,
    help="How many times as fast the demo's clock runs, all parts of it alike.",
)
def demo(port: int, folder: str | None, speed: int) -> None:
    """
    The whole loop on this machine: service, simulated WeCom, sample healing engine.

    Needs no account and no other server. Ctrl-C stops all of it.

    With --speed the times that one reads run ahead of the clock on the wall, and everything ends
    as much sooner: deadlines, logins, and the five minutes for which a login is fresh enough to
    approve a high risk. What such a clock wrote would lie in the future of the next start, so it
    cannot be kept in a folder.

    \b
    Example: the reminder after 6 of 8 minutes, in 36 seconds
        fta-approval demo --speed 10
    """
    from web.demo import run_demo

    if speed > 1 and folder is not None:
        raise click.UsageError("--speed above 1 and --folder do not go together")
    run(run_demo(port, folder, say=say_plainly, speed=speed))


@cli.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8001,
    show_default=True,
    help="0 picks a free one.",
)
@click.option(
    "--callback",
    metavar="URL",
    help="Where it sends what members do: the service's address with wechat/entry/, on this "
    "machine. Members may log in at that host.",
)
def simulator(port: int, callback: str | None) -> None:
    """
    The simulated WeCom alone, with a page where one chats as each member.

    Prints the settings that fta-approval serve needs beside it. With --callback it waits until
    serve answers there.

    \b
    Example:
        fta-approval simulator \\
            --callback http://127.0.0.1:8000/o/bk_fta_solutions/wechat/entry/
    """
    from web.demo import run_simulator

    run(run_simulator(port, callback, say=say_plainly))


@cli.group()
def projections() -> None:
    """Read models of the event sequence."""


@projections.command()
@click.argument("name", required=False)
def rebuild(name: str | None) -> None:
    """
    Rebuild one read model, or all, from the events.

    NAME is one of approvals, todo, decision_feed, audit_trail, deadlines, outbox, sessions,
    webhooks, decided, history, history_readers, history_members, figures. Nothing is sent again:
    what was delivered is in the events. The service may go on meanwhile; its lists, sending and
    expiry wait until this has ended.
    """
    from eventsourcing.domain import EventSourcingError

    from web.rebuilding import UnknownProjection, rebuild_read_models

    try:
        rebuild_read_models(given_settings(), name)
    except UnknownProjection as error:
        raise click.BadParameter(str(error), param_hint="NAME") from None
    except (FileNotFoundError, EventSourcingError) as error:
        raise click.ClickException(str(error)) from None


@cli.group()
def sessions() -> None:
    """Logins of members."""


@sessions.command("end")
@click.argument("userid")
def end_sessions(userid: str) -> None:
    """
    End every login of a member, in whichever browser: a phone is lost, say.

    The service may go on meanwhile. Who can still log in to WeCom as that member can log in here
    again: lock the account there too.
    """
    from domain.identity import SENDER
    from web import session_ending

    if not SENDER.fullmatch(userid):
        raise click.BadParameter("is not the userid of a member", param_hint="USERID")
    run_on_store(session_ending.end_sessions(given_settings(), userid, say=say_plainly))


@cli.command()
@click.option("--why", required=True, metavar="TEXT", help="What everybody is told who tries.")
def freeze(why: str) -> None:
    """
    Stop approving: nothing is approved and no permit redeemed, by nobody, until thaw.

    Rejecting, cancelling and expiry go on, and engines may ask. Everybody who tries to approve, and
    every engine that tries to redeem, is told why. The service may go on meanwhile.

    \b
    Example:
        fta-approval freeze --why "网络变更 20:00-22:00"
    """
    from domain.text import one_line
    from web import freezing

    said = one_line(why).strip()
    if not said or len(said) > MAX_WHY:
        raise click.BadParameter(f"say it in 1 to {MAX_WHY} characters", param_hint="--why")
    run_on_store(freezing.freeze(given_settings(), said, say=say_plainly))


@cli.command()
def thaw() -> None:
    """Let approving go on after a freeze."""
    from web import freezing

    run_on_store(freezing.thaw(given_settings(), say=say_plainly))


@cli.group()
def permits() -> None:
    """What engines redeem before they act."""


@permits.command("rotate-key")
@click.option("--compromised", is_flag=True, help="The key got out: void what it has signed.")
def rotate_key(compromised: bool) -> None:
    """
    Sign permits with a new key from now on.

    The one before stays published for a day, until no permit of it counts any more; with
    --compromised it is withdrawn at once, and engines with a permit of it ask the next run. The
    service may go on meanwhile.
    """
    from eventsourcing.domain import EventSourcingError

    from web.permit_keys import rotate_permit_key

    try:
        rotate_permit_key(given_settings(), voids_earlier=compromised, say=say_plainly)
    except (OSError, ValueError, EventSourcingError) as error:
        raise click.ClickException(str(error)) from None


@cli.group()
def webhooks() -> None:
    """Decisions that are pushed to the callback_url of an engine (docs/webhooks.md)."""


@webhooks.command("list")
@click.option("--all", "everything", is_flag=True, help="What is still being tried, too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def list_webhooks(everything: bool, as_json: bool) -> None:
    """List what was given up after the last try, oldest first."""
    from web import undelivered
    from web.findings import say

    listing = undelivered.list_webhooks(
        given_settings(), say, as_json=as_json, everything=everything
    )
    run(listing)


@webhooks.command("redeliver")
@click.argument("ids", metavar="[ID]...", nargs=-1, type=click.IntRange(1, 2**63 - 1))
@click.option("--all", "everything", is_flag=True, help="Everything that was given up.")
def redeliver_webhooks(ids: tuple[int, ...], everything: bool) -> None:
    """
    Push again what was given up, by a schedule that begins anew; recorded.

    ID is what `webhooks list` shows first. Exit status 1 if one of them cannot be sent again.
    """
    from adapters.store.writer import StoreUnavailable
    from web import undelivered
    from web.findings import say

    if bool(ids) == everything:
        raise click.UsageError("name IDs or give --all")
    try:
        done = run(undelivered.redeliver(given_settings(), ids, say))
    except StoreUnavailable as error:
        raise click.ClickException(str(error)) from None
    if not done:
        sys.exit(1)


@webhooks.command("secret")
@click.argument("engine", required=False, default="")
def webhook_secret(engine: str) -> None:
    """
    Print what the receivers of an engine verify signatures with, the newest first.

    Without ENGINE: what signs for all engines that have none of their own. Keep it from others.
    """
    from web import undelivered

    try:
        run(undelivered.show_secrets(given_settings(), engine, say_plainly))
    except undelivered.UnknownEngine as error:
        raise click.BadParameter(str(error), param_hint="ENGINE") from None


@webhooks.command("rotate-secret")
def rotate_webhook_secret() -> None:
    """
    Make a new secret and print it; the one before signs along for 24 hours.

    Only where FTA_APPROVAL_WEBHOOK_SECRET does not set it. Give it to every receiver meanwhile.
    """
    from web import undelivered

    try:
        run(undelivered.rotate_secret(given_settings(), say_plainly))
    except undelivered.SetElsewhere as error:
        raise click.ClickException(str(error)) from None


@cli.command()
@click.option(
    "--send",
    "userid",
    metavar="USERID",
    help="Send that member a test approval too; fta-approval serve has to be running.",
)
def doctor(userid: str | None) -> None:
    """
    Check the configuration against WeCom: what is wrong, and how to mend it.

    Reads the same settings as serve and prints one line for each check: ok, warn, skip (could not
    be checked) or FAIL. Exit status 1 if any fails. A test approval is marked as one, executes
    nothing and is no decision that an engine hears of.

    \b
    Example:
        fta-approval doctor --send zhangsan
    """
    from web.app import utc_now
    from web.doctor import Doctor, run_doctor
    from web.findings import say

    settings = settings_in_force()
    if userid is not None and not _is_member(userid):
        raise click.BadParameter(f"{userid!r} is not the userid of a member", param_hint="--send")
    if not run(run_doctor(Doctor(settings, utc_now), userid, say)):
        sys.exit(1)


@cli.group()
def settings() -> None:
    """What the environment does not set: stored, and edited here or on the configuration page."""


@settings.command("show")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def show_settings(as_json: bool) -> None:
    """Show each setting and where it comes from; of secrets a fingerprint."""
    from web import settings_shell
    from web.findings import say

    run(settings_shell.show(given_settings(), say, as_json=as_json))


@settings.command("set")
@click.argument("name", metavar="KEY")
@click.argument("value")
def set_setting(name: str, value: str) -> None:
    """
    Store a setting; in force within a second where the service runs.

    KEY is a name of the environment without FTA_APPROVAL_, such as SUPER_APPROVERS. VALUE "-" reads
    standard input, so that a secret stands in no history of a shell; "" takes the setting back.

    \b
    Example:
        fta-approval settings set WECOM_SECRET - < secret.txt
    """
    from web import settings_shell

    key = name.upper().removeprefix("FTA_APPROVAL_").lower()
    text = sys.stdin.read().strip() if value == "-" else value.strip()
    try:
        run_on_store(settings_shell.set_one(given_settings(), key, text, say_plainly))
    except settings_shell.NotSet as error:
        raise click.ClickException(str(error)) from None


@settings.command("link")
def settings_link() -> None:
    """Print a new one-time link to the configuration page; it works once and for an hour."""
    from web import settings_shell

    run_on_store(settings_shell.link(given_settings(), say_plainly))


@settings.command("rotate-key")
def rotate_secret_key() -> None:
    """
    Make a new secret key and seal everything stored with it. Stop the service first.

    The key file is replaced once everything is sealed anew; a crash meanwhile loses nothing. Where
    FTA_APPROVAL_SECRET_KEY gives the key, the new one is written to a file, and you put it into the
    environment before the next start.
    """
    from eventsourcing.domain import EventSourcingError

    from web import key_rotation
    from web.app import utc_now

    try:
        key_rotation.rotate_secret_key(given_settings(), utc_now(), say_plainly)
    except (key_rotation.NotRotated, OSError, ValueError, EventSourcingError) as error:
        raise click.ClickException(str(error)) from None


@cli.command()
@click.argument("file", type=click.Path(dir_okay=False))
def backup(file: str) -> None:
    """
    Copy the event store to FILE while the service runs; read whole before it is said to be done.

    FILE must not exist yet. The copy holds every event, and what is secret in it stays sealed: keep
    the secret key apart from it, for without the key it cannot be restored (docs/backup.md). A
    store that was altered is copied too, and the exit status is 1.

    \b
    Example:
        fta-approval backup /backup/fta-approval-$(date +%F).db
    """
    from pathlib import Path

    from adapters.store.schema import NewerStore
    from web.backup import NotBackedUp, back_up
    from web.findings import say

    try:
        alterations = back_up(given_settings(), Path(file), say)
    except BrokenPipeError:  # the copy is whole; click ends quietly, status 1
        raise
    except (NotBackedUp, NewerStore, OSError) as error:
        say(f"fta-approval: {error}", err=True)
        sys.exit(1)
    for line in alterations:
        say(f"fta-approval: {line}", err=True)
    if alterations:
        sys.exit(1)


@cli.command()
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--yes", is_flag=True, help="Do not ask on a terminal before a store is moved aside.")
def restore(file: str, yes: bool) -> None:
    """
    Put a copy made by backup in the place of the event store. Stop the service first.

    FILE is looked through and stays as it is; the store that stands there is moved aside, whole.
    Going back does no harm: permits issued before are void, what waited is cancelled, everybody is
    logged out, and the decision feed gets another id. What happened after the copy was taken is
    lost, as is a freeze that began then; settings are those of its time. The secret key of that
    time has to be there (docs/backup.md).

    \b
    Example:
        fta-approval restore /backup/fta-approval-2026-01-05.db
    """
    from pathlib import Path

    from eventsourcing.domain import EventSourcingError

    from adapters.store.copies import DamagedCopy
    from adapters.store.schema import NewerStore
    from web import restoring
    from web.app import utc_now
    from web.findings import say
    from web.restoring_events import StillHarmful
    from web.restoring_files import StoreInUse

    refusals = (restoring.NotRestored, StoreInUse, DamagedCopy, NewerStore, StillHarmful)
    given = given_settings()
    try:
        if not yes and sys.stdin.isatty() and (stands := restoring.what_stands(given)):
            click.confirm(f"{stands} is moved aside. Go on?", abort=True, err=True)
        restoring.restore(given, Path(file), utc_now(), say)
    except (*refusals, OSError, ValueError, EventSourcingError) as error:
        say(f"fta-approval: {error}", err=True)
        sys.exit(1)


@cli.group()
def menu() -> None:
    """The application's menu in WeCom."""


@menu.command()
def publish() -> None:
    """
    Put 审批列表, which opens the todo page, into the application's menu.

    Other entries stay as they are; an older 审批列表 is replaced.

    \b
    Example:
        FTA_APPROVAL_APP_URL=https://example.com/o/fta/wechat/ fta-approval menu publish
    """
    from web.findings import say
    from web.menu_publishing import NotPublished, publish_menu

    try:
        done = run(publish_menu(settings_in_force()))
    except NotPublished as error:
        say(f"fta-approval: {error}", err=True)
        sys.exit(1)
    if done is not None:
        say(done)


cli.add_command(audit)


def _is_member(userid: str) -> bool:
    from domain.identity import may_be_member

    return may_be_member(userid)


if __name__ == "__main__":
    main()

"""What a restore does to one approval and to the installation, by their events alone."""

from datetime import timedelta

from domain.approval import Approval
from domain.configuration import Change, Configuration, Via
from domain.decision import Channel, Status
from domain.installation import Installation, SecretKind
from tests.scenario import NODE, NOON, after, ask, cancels, given, pushes
from tests.test_webhook_rules import decided

LATER = after(hours=1)
HASHED = "00ff" * 16


def put_back(*commands: object) -> Approval:
    """Long after its deadline."""
    approval = given(ask(), *commands).approval(NODE)
    approval.cancel_restored("shell:root", LATER)
    return approval


def test_what_waits_is_cancelled_by_nobody_of_the_engine() -> None:
    approval = put_back()
    ending, (event,) = approval.ending, approval.collect_events()
    assert ending is not None
    assert (ending.status, ending.by, ending.reason) == (Status.CANCELLED, None, "restored")
    assert ending.via is Channel.SHELL
    assert isinstance(event, Approval.Cancelled)
    assert (event.by, event.channel) == ("shell:root", "shell")


def test_what_has_ended_stays_as_it_ended() -> None:
    ending = put_back(cancels()).ending
    assert ending is not None
    assert (ending.by, ending.reason, ending.via) == ("fta", cancels().reason, Channel.API)


def test_a_push_that_is_withheld_was_not_tried_and_may_be_asked_for() -> None:
    approval = decided(pushes(after(minutes=1), 1, "answered 500")).approval()
    approval.withhold_webhook(7, "withheld", LATER)
    webhook = approval.webhooks.at(7)
    assert (webhook.is_undelivered, webhook.problem, webhook.attempts) == (True, "withheld", 1)
    assert webhook.tried_at == after(minutes=1)
    assert webhook.due_at is None
    approval.withhold_webhook(7, "again", LATER)
    assert approval.webhooks.at(7).problem == "withheld"


def test_one_that_was_never_tried_is_withheld_too() -> None:
    approval = decided().approval()
    approval.withhold_webhook(7, "withheld", LATER)
    webhook = approval.webhooks.at(7)
    assert (webhook.attempts, webhook.tried_at, webhook.is_undelivered) == (0, None, True)


def test_one_that_was_taken_is_not_withheld() -> None:
    approval = decided(pushes(after(minutes=1))).approval()
    approval.withhold_webhook(7, "withheld", LATER)
    assert approval.webhooks.at(7).is_delivered
    assert not approval.webhooks.at(7).is_undelivered


def test_a_restored_store_has_another_feed_and_says_of_what_it_is_a_copy() -> None:
    one = Installation("installation")
    one.found("f-1", NOON)
    one.make_secret(SecretKind.PERMIT_KEY, "k-1", "sealed", NOON)
    never = one.restored_at
    assert never is None
    one.restore("f-2", "shell:root", LATER, position=17, as_of=NOON)
    assert (one.feed_id, one.restored_at) == ("f-2", LATER)
    restored = one.collect_events()[-1]
    assert isinstance(restored, Installation.Restored)
    assert (restored.earlier_feed_id, restored.position) == ("f-1", 17)
    assert [made.key_id for made in one.made(SecretKind.PERMIT_KEY)] == ["k-1"]


def test_a_link_that_is_withdrawn_leads_nowhere_and_one_that_was_used_stays_used() -> None:
    one = Configuration()
    one.withdraw_link("shell:root", NOON)
    assert not one.collect_events()
    one.offer_link(HASHED, NOON + timedelta(hours=1), "service", NOON)
    one.withdraw_link("shell:root", NOON)
    one.withdraw_link("shell:root", NOON)
    assert one.link is None
    assert [type(event).__name__ for event in one.collect_events()] == [
        "LinkOffered",
        "LinkWithdrawn",
    ]
    one.offer_link(HASHED, NOON + timedelta(hours=1), "service", NOON)
    one.use_link(HASHED, "link:00ff", NOON)
    one.collect_events()
    one.withdraw_link("shell:root", NOON)
    assert not one.collect_events()


def test_names_stand_beside_a_secret_only_where_it_changed() -> None:
    one = Configuration()
    change = Change({}, {"api_tokens": "s"}, {"api_tokens": "f"}, {"api_tokens": ["fta"]})
    one.change(change, 0, "wangwu", Via.PAGE, NOON)
    again = Change({"time_zone": "UTC"}, {"api_tokens": "t"}, {"api_tokens": "f"}, change.names)
    one.change(again, 1, "wangwu", Via.PAGE, NOON)
    names = [e.names for e in one.collect_events() if isinstance(e, Configuration.Changed)]
    assert names == [{"api_tokens": ["fta"]}, {}]

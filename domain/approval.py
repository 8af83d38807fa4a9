"""The approval: what may happen to it, and what did."""

import hashlib
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, cast

from domain import approvers, errors, identity, redeeming, wording
from domain.aggregate import Aggregate, Event, applies
from domain.approvers import Answer
from domain.commands import (
    RecordDelivery,
    RecordWebhook,
    RedeliverWebhook,
    RequestApproval,
)
from domain.decision import Capacity, Channel, Ending, Kind, Outcome, Risk, Status, Verdict
from domain.identity import same_person
from domain.notifications import Delivery, Notifications, Way
from domain.permit import Permit
from domain.redeeming import Redemption
from domain.webhooks import Webhooks

# One reminder, when a quarter of the time is left, if that is worth anything to whoever reads it.
REMIND_AT_LAST = 4
LEAST_TIME_LEFT = timedelta(minutes=2)
# The clock looks a moment after it is due; whoever comes later than that, after a long stop say,
# would remind of what nobody has the time for.
TOO_LATE_TO_REMIND = LEAST_TIME_LEFT - timedelta(seconds=10)
# Of attempts to redeem that were refused; more than that is noise, and stands in the log.
MOST_REFUSED_REDEMPTIONS = 20
LEFT = "the member has left the application's visible range"
RESTORED = "restored"
"""The reason of a cancellation by a restore (contract 6.8)."""


class Approval(Aggregate):
    """One execution of one node that a person must allow. It ends once."""

    # Events. Stored for ever and read by other services. A new one also needs: its topic in
    # tests/test_stored_names.py and its bytes in tests/golden/, words in web/timeline.py, a look at
    # every projection.

    class Requested(Event, frozen=True, kw_only=True):
        TOPIC = "approval.requested"
        engine: str
        channel: str
        obj_id: str
        run: int
        message: str
        approvers: list[str]
        asked: list[str]
        kind: str
        risk: str
        expires_in: int
        expires_at: datetime
        biz_id: str | None = None
        requested_by: str | None = None
        action: str | None = None
        action_digest: str | None = None
        details: dict[str, str] = {}  # noqa: RUF012  # msgspec copies an empty default
        callback_url: str | None = None
        test: bool = False
        tells_requester: bool = False

    class Notified(Event, frozen=True, kw_only=True):
        TOPIC = "approval.notified"
        notice: str
        to: str
        cut: bool = False
        way: str = ""
        response_code: str | None = None

    class NotificationFailed(Event, frozen=True, kw_only=True):
        TOPIC = "approval.notification-failed"
        notice: str
        to: str
        problem: str
        unreachable: bool = False
        response_code: str | None = None

    class BecameUnreachable(Event, frozen=True, kw_only=True):
        TOPIC = "approval.became-unreachable"
        to: str
        problem: str

    class NobodyReached(Event, frozen=True, kw_only=True):
        TOPIC = "approval.nobody-reached"

    class Reminded(Event, frozen=True, kw_only=True):
        TOPIC = "approval.reminded"

    class Opened(Event, frozen=True, kw_only=True):
        TOPIC = "approval.opened"
        by: str

    class Replied(Event, frozen=True, kw_only=True):
        TOPIC = "approval.replied"
        by: str
        words: str
        channel: str
        verdict: str | None = None
        reason: str | None = None
        refusal: str | None = None
        repeated: bool = False
        delivery_key: str | None = None
        sent_at: datetime | None = None
        response_code: str | None = None
        batch: str | None = None

    class Approved(Event, frozen=True, kw_only=True):
        TOPIC = "approval.approved"
        by: str
        channel: str
        capacity: str
        reason: str | None = None
        permit_key: str | None = None
        permit_issuer: str | None = None
        permit_expires_at: datetime | None = None
        batch: str | None = None

    class Rejected(Event, frozen=True, kw_only=True):
        TOPIC = "approval.rejected"
        by: str
        channel: str
        capacity: str
        reason: str | None = None
        batch: str | None = None

    class Expired(Event, frozen=True, kw_only=True):
        TOPIC = "approval.expired"

    class Cancelled(Event, frozen=True, kw_only=True):
        TOPIC = "approval.cancelled"
        by: str
        channel: str
        reason: str

    class Revoked(Event, frozen=True, kw_only=True):
        TOPIC = "approval.revoked"
        by: str
        channel: str
        capacity: str
        reason: str | None = None

    class Redeemed(Event, frozen=True, kw_only=True):
        TOPIC = "approval.redeemed"
        by: str
        channel: str
        attempt: str

    class RedemptionRefused(Event, frozen=True, kw_only=True):
        TOPIC = "approval.redemption-refused"
        by: str
        channel: str
        attempt: str
        refusal: str

    class OutcomeReported(Event, frozen=True, kw_only=True):
        TOPIC = "approval.outcome-reported"
        by: str
        channel: str
        outcome: str
        detail: str | None = None

    class WebhookDelivered(Event, frozen=True, kw_only=True):
        TOPIC = "approval.webhook-delivered"
        delivery: int
        attempt: int
        released: list[int] = []  # noqa: RUF012  # msgspec copies an empty default

    class WebhookFailed(Event, frozen=True, kw_only=True):
        TOPIC = "approval.webhook-failed"
        delivery: int
        attempt: int
        problem: str
        failures: int
        retry_at: datetime | None = None
        down: bool = False
        released: list[int] = []  # noqa: RUF012  # msgspec copies an empty default

    class WebhookRequeued(Event, frozen=True, kw_only=True):
        TOPIC = "approval.webhook-requeued"
        delivery: int
        by: str
        channel: str

    # Commands. Look at the state, then refuse, or trigger, or do nothing.

    @classmethod
    def request(
        cls, asked: RequestApproval, super_approvers: list[str], channel: str = "api"
    ) -> "Approval":
        """
        Open an approval.

        Args:
            super_approvers: By the settings in force now; they are sent the message too.
            channel: `api`, or `fta` for FTA's old API.

        Raises:
            NobodyCanDecide: Without the requester no approver is left.
        """
        everybody = identity.merged([*asked.approvers, *super_approvers])
        requester = same_person(asked.requested_by or "")
        if all(same_person(userid) == requester for userid in asked.approvers):
            raise errors.NobodyCanDecide(asked.requested_by or "")
        approval = cls(identity.approval_stream(identity.reply_id(asked.obj_id, asked.run)))
        approval.trigger(
            cls.Requested,
            asked.at,
            channel=channel,
            asked=[userid for userid in everybody if same_person(userid) != requester],
            expires_at=asked.at + timedelta(seconds=asked.expires_in),
            approvers=identity.merged(asked.approvers),
            tells_requester=identity.may_be_member(asked.requested_by),
            **_request_fields(asked),
        )
        return approval

    def is_same_request(self, asked: RequestApproval) -> bool:
        """Whether this is the request that opened the approval, sent again."""
        first = self.requested
        return _people(asked.approvers) == _people(first.approvers) and all(
            getattr(first, name) == value for name, value in _request_fields(asked).items()
        )

    def answer(self, answer: Answer, at: datetime, **about_reply: Any) -> None:
        """
        Settle the approval by what a person chose. The first decision stands.

        A `Replied` is recorded whatever comes of it. The same choice by the same person again
        changes nothing and is no refusal: people repeat themselves when a chat is slow.

        Raises:
            OwnRequest, NotAnApprover: The person may not decide it.
            AlreadyDecided: It ended before, by the deadline too.
            NotFromList, LoginTooOld, OpenItFirst: Not in this manner.
        """
        repeated = self.was_decided_so_by(answer.by, answer.verdict)
        refusal = None if repeated else self._refusal_of(answer, at)
        self.trigger(
            self.Replied,
            at,
            by=answer.by,
            words=answer.words,
            channel=answer.channel.value,
            verdict=answer.verdict.value,
            reason=answer.reason,
            refusal=refusal.code if refusal else None,
            repeated=repeated,
            batch=answer.batch,
            **about_reply,
        )
        if refusal is not None:
            raise refusal
        if not repeated:
            self._decide(answer, at)

    def refuse(self, refusal: errors.Refusal, at: datetime, **about_reply: Any) -> None:
        """Keep a reply that names this approval and decides nothing."""
        self.trigger(self.Replied, at, refusal=refusal.code, **about_reply)

    def cancel(self, engine: str, reason: str, at: datetime, via: Channel = Channel.API) -> None:
        """
        End the approval for the engine that asked. Again by the same engine: nothing happens.

        Raises:
            AlreadyDecided: It ended before, by the deadline too.
        """
        if self.status is Status.CANCELLED and self.ending and self.ending.by == engine:
            return
        self.expire(at)
        if self.ending is not None:
            raise errors.AlreadyDecided(self.reply_id, self.ending)
        self.trigger(self.Cancelled, at, by=engine, channel=via.value, reason=reason)

    def cancel_restored(self, by: str, at: datetime) -> None:
        """
        End what still waits in a store that is put back; what has ended stays as it is.

        It is not said to have expired where its time is over by now: somebody may have decided
        after the copy was taken, and nobody here knows.

        Args:
            by: Who restores.
        """
        if self.ending is None:
            self.trigger(self.Cancelled, at, by=by, channel=Channel.SHELL.value, reason=RESTORED)

    def revoke(self, person: Answer, at: datetime) -> None:
        """
        Take the approval back, before it is used. Again by the same person: nothing happens.

        Args:
            person: Who does, as somebody who answers; what they may is the same.

        Raises:
            OwnRequest, NotAnApprover: The person may not decide it.
            NotApproved, AlreadyDecided: It is not approved, or was revoked by somebody else.
            TooLateToRevoke: It may have been acted on.
        """
        refusal = approvers.first_refusal(approvers.RIGHT_TO_DECIDE, self, person)
        if refusal is None and self._was_revoked_by(person.by):
            return
        refusal = refusal or redeeming.refusal_to_revoke(self, at)
        if refusal is not None:
            raise refusal
        self._end_by_person(self.Revoked, person, at)

    def redeem(self, redemption: Redemption) -> None:
        """
        Let the engine act on the approval, once. The same attempt again changes nothing.

        A refusal is recorded, once for each attempt and reason.

        Raises:
            ActionDiffers, Frozen, Revoked, AlreadyRedeemed, PermitExpired
        """
        is_repeated = self.redeemed is not None and self.redeemed.attempt == redemption.attempt
        rules = redeeming.EACH_TIME + (() if is_repeated else redeeming.AT_FIRST)
        refusal = redeeming.first_refusal(rules, self, redemption)
        if refusal is not None:
            self._keep_refused_redemption(refusal, redemption)
            raise refusal
        if not is_repeated:
            self.trigger(
                self.Redeemed,
                redemption.at,
                by=redemption.by,
                channel=Channel.API.value,
                attempt=redemption.attempt,
            )

    def report(self, engine: str, outcome: Outcome, detail: str | None, at: datetime) -> None:
        """
        Keep what became of the action. The same again changes nothing.

        One that was revoked has an outcome too: an engine that does not redeem may have begun.

        Raises:
            NotApproved: It never was.
            OutcomeDiffers: Something else was reported before.
        """
        if self.outcome is not None:
            if (self.outcome.outcome, self.outcome.detail) == (outcome.value, detail):
                return
            raise errors.OutcomeDiffers(self.reply_id, self.outcome.outcome)
        if self.status not in (Status.APPROVED, Status.REVOKED):
            raise errors.NotApproved(self.reply_id)
        self.trigger(
            self.OutcomeReported,
            at,
            by=engine,
            channel=Channel.API.value,
            outcome=outcome.value,
            detail=detail,
        )

    def expire(self, at: datetime) -> None:
        """End the approval if its deadline has passed; before that, or after an end, nothing."""
        if self.ending is None and at >= self.expires_at:
            self.trigger(self.Expired, at)

    def remind(self, at: datetime) -> None:
        """Remind whoever was asked: once, neither too early nor too late to be of use."""
        due = self.remind_at
        if due is None or self.reminded or self.ending is not None:
            return
        if at >= due and self.expires_at - at >= TOO_LATE_TO_REMIND:
            self.trigger(self.Reminded, at)

    def open_page(self, by: str, at: datetime) -> None:
        """Remember who opened the page, where deciding by message may come to depend on it."""
        if self.ending is None and self.notifications.does_opening_matter(by):
            self.trigger(self.Opened, at, by=by)

    def lose_member(self, userid: str, at: datetime) -> None:
        """The member cannot be reached any more; again, or after an end: nothing happens."""
        asked = self.deliveries.get(same_person(userid))
        if asked is None or self.ending is not None:
            return
        if not self.notifications.is_beyond_reach(userid):
            self.trigger(self.BecameUnreachable, at, to=asked.userid, problem=LEFT)
            self._notice_if_nobody_is_reached(at)

    def record_delivery(self, delivery: RecordDelivery) -> None:
        """Record what became of one message. The same notice again changes nothing."""
        if delivery.notice in self.notifications.recorded:
            return
        if delivery.problem is None:
            self.trigger(
                self.Notified,
                delivery.at,
                notice=delivery.notice,
                to=delivery.to,
                cut=delivery.cut,
                way=delivery.way.value,
                response_code=delivery.response_code,
            )
        else:
            self.trigger(
                self.NotificationFailed,
                delivery.at,
                notice=delivery.notice,
                to=delivery.to,
                problem=delivery.problem,
                unreachable=delivery.unreachable,
                response_code=delivery.response_code,
            )
            self._notice_if_nobody_is_reached(delivery.at)

    def record_webhook(self, tried: RecordWebhook) -> None:
        """Record what came of one try to push a decision. The same try again changes nothing."""
        webhook = self.webhooks.at(tried.delivery)
        if webhook.is_delivered or tried.attempt != webhook.attempts + 1:
            return
        about = {
            "delivery": tried.delivery,
            "attempt": tried.attempt,
            "released": tried.released,
        }
        if tried.problem is None:
            self.trigger(self.WebhookDelivered, tried.at, **about)
            return
        failures, retry_at = webhook.after_failure(tried.at)
        self.trigger(
            self.WebhookFailed,
            tried.at,
            problem=tried.problem,
            failures=failures,
            retry_at=retry_at,
            down=tried.down,
            **about,
        )

    def withhold_webhook(self, delivery: int, problem: str, at: datetime) -> None:
        """
        Give up pushing a decision, though no further try has failed.

        One that was taken, or given up before, stays as it is.
        """
        webhook = self.webhooks.at(delivery)
        if webhook.is_delivered or webhook.is_undelivered:
            return
        self.trigger(
            self.WebhookFailed,
            at,
            delivery=delivery,
            attempt=webhook.attempts,
            problem=problem,
            failures=webhook.failures,
        )

    def redeliver_webhook(self, wanted: RedeliverWebhook) -> None:
        """
        Have a decision pushed again that was given up, by a schedule that begins anew.

        Raises:
            UnknownWebhook: Nothing of this approval is pushed.
            AlreadyDelivered, NotUndelivered: It was not given up.
        """
        webhook = self.webhooks.at(wanted.delivery)
        if self.ending is None or self.requested.callback_url is None or self.requested.test:
            raise errors.UnknownWebhook(wanted.delivery)
        if webhook.is_delivered:
            raise errors.AlreadyDelivered(wanted.delivery)
        if not webhook.is_undelivered:
            raise errors.NotUndelivered(wanted.delivery)
        self.trigger(
            self.WebhookRequeued,
            wanted.at,
            delivery=wanted.delivery,
            by=wanted.by,
            channel=wanted.channel,
        )

    def _notice_if_nobody_is_reached(self, at: datetime) -> None:
        """Once: no approver can be told any more, so that somebody else has to hear of it."""
        may_decide = [userid for userid in self.approvers if self.is_asked(userid)]
        beyond_reach = all(map(self.notifications.is_beyond_reach, may_decide))
        if beyond_reach and self.ending is None and not self.nobody_reached:
            self.trigger(self.NobodyReached, at)

    def _refusal_of(self, answer: Answer, at: datetime) -> errors.Refusal | None:
        refusal = approvers.first_refusal(approvers.RIGHT_TO_DECIDE, self, answer)
        if refusal is None:
            self.expire(at)
            refusal = approvers.first_refusal(approvers.MOMENT_AND_MANNER, self, answer)
        return refusal

    def _decide(self, answer: Answer, at: datetime) -> None:
        more: dict[str, Any] = {"batch": answer.batch}
        if answer.verdict is Verdict.APPROVE:
            more |= self._permit_fields(answer, at)
            self._end_by_person(self.Approved, answer, at, **more)
        else:
            self._end_by_person(self.Rejected, answer, at, **more)

    def _end_by_person(
        self, event_class: type[Event], person: Answer, at: datetime, **more: Any
    ) -> None:
        capacity = approvers.capacity(self, person)
        assert capacity is not None  # noqa: S101  # RIGHT_TO_DECIDE passed
        self.trigger(
            event_class,
            at,
            by=person.by,
            channel=person.channel.value,
            capacity=capacity.value,
            reason=person.reason,
            **more,
        )

    def _permit_fields(self, answer: Answer, at: datetime) -> dict[str, Any]:
        """Under which key and until when; a test approval authorises nothing."""
        terms = answer.terms
        if terms is None or self.requested.test:
            return {}
        return {
            "permit_key": terms.key_id,
            "permit_issuer": terms.issuer,
            "permit_expires_at": terms.expiry(at),
        }

    def _keep_refused_redemption(self, refusal: errors.Refusal, redemption: Redemption) -> None:
        about = (redemption.attempt, refusal.code)
        if about in self._refused_redemptions:
            return
        if len(self._refused_redemptions) >= MOST_REFUSED_REDEMPTIONS:
            return
        self.trigger(
            self.RedemptionRefused,
            redemption.at,
            by=redemption.by,
            channel=Channel.API.value,
            attempt=redemption.attempt,
            refusal=refusal.code,
        )

    def _was_revoked_by(self, userid: str) -> bool:
        by = self.ending.by if self.ending is not None and self.status is Status.REVOKED else None
        return by is not None and same_person(by) == same_person(userid)

    # Questions.

    @property
    def status(self) -> Status:
        return self.ending.status if self.ending else Status.PENDING

    @cached_property
    def approval_id(self) -> str:
        return identity.approval_id(self.id)

    def is_requester(self, userid: str) -> bool:
        requested_by = self.requested.requested_by
        return requested_by is not None and same_person(userid) == same_person(requested_by)

    def is_asked(self, userid: str) -> bool:
        """Whether the member was among those whom the message went to."""
        return same_person(userid) in self.deliveries

    def was_decided_so_by(self, userid: str, verdict: Verdict) -> bool:
        """Whether this very person made this very decision."""
        if self.ending is None or self.ending.by is None:
            return False
        wanted = Status.APPROVED if verdict is Verdict.APPROVE else Status.REJECTED
        return self.status is wanted and same_person(self.ending.by) == same_person(userid)

    @property
    def alarm(self) -> wording.Alarm | None:
        """What the message that asks says of the alarm, if its words name one."""
        return wording.alarm_of(self.kind, self.requested.details)

    def card_name(self, userid: str) -> str:
        """
        The name of the card that asks one member; WeCom takes each once, for ever.

        It is of this very request: a card of another one that bore the same reply id, in a store
        that has been put back since, decides nothing here.
        """
        asked = self.requested
        parts = (same_person(userid), asked.timestamp.isoformat(), asked.message)
        proof = hashlib.sha256("\0".join([*parts, asked.action_digest or ""]).encode())
        return f"{identity.approval_id(self.id)}-{proof.hexdigest()[:24]}"

    def was_ended_in_chat_by(self, userid: str) -> bool:
        """Whether the member's own words or tap ended it: they are told so there."""
        ending = self.ending
        if ending is None or ending.via not in (Channel.TEXT, Channel.CARD):
            return False
        return same_person(ending.by or "") == same_person(userid)

    @property
    def used_at(self) -> datetime | None:
        """When the approval was acted on, as far as the engine has said."""
        used = self.redeemed or self.outcome
        return used.timestamp if used is not None else None

    @property
    def deliveries(self) -> dict[str, Delivery]:
        """What became of the message that asks each member."""
        return self.notifications.of

    @property
    def remind_at(self) -> datetime | None:
        """When a reminder is due; None where it would come too late to be of use."""
        left = (self.expires_at - self.requested.timestamp) / REMIND_AT_LAST
        return self.expires_at - left if left >= LEAST_TIME_LEFT else None

    # State. Assign, never check: these run again on every load, under every later rule.

    @applies(Requested)
    def _requested(self, event: Requested) -> None:
        self.requested = event
        self.reply_id = identity.reply_id(event.obj_id, event.run)
        self.approvers = event.approvers
        self.risk = Risk(event.risk)
        self.kind = Kind(event.kind)
        self.expires_at = event.expires_at
        self.ending: Ending | None = None
        self.notifications = Notifications(event.asked, event.message, self.reply_id, self.alarm)
        self.nobody_reached = False
        self.reminded = False
        self.approved_by: str | None = None
        """Also after it was revoked."""
        self.permit: Permit | None = None
        """What the approval authorises; it stays what it was when used, revoked or expired."""
        self.redeemed: Approval.Redeemed | None = None
        self.outcome: Approval.OutcomeReported | None = None
        self._refused_redemptions: set[tuple[str, str]] = set()
        self.webhooks = Webhooks()

    @applies(Notified)
    def _notified(self, event: Notified) -> None:
        self.notifications.sent(
            event.notice,
            event.to,
            event.timestamp,
            cut=event.cut,
            way=Way(event.way),
            code=event.response_code,
        )

    @applies(NotificationFailed)
    def _notification_failed(self, event: NotificationFailed) -> None:
        self.notifications.failed(
            event.notice,
            event.to,
            event.timestamp,
            problem=event.problem,
            unreachable=event.unreachable,
            code=event.response_code,
        )

    @applies(BecameUnreachable)
    def _became_unreachable(self, event: BecameUnreachable) -> None:
        self.notifications.lost(event.to, event.problem)

    @applies(NobodyReached)
    def _nobody_reached(self, event: NobodyReached) -> None:
        self.nobody_reached = True

    @applies(Reminded)
    def _reminded(self, event: Reminded) -> None:
        self.reminded = True

    @applies(Opened)
    def _opened(self, event: Opened) -> None:
        self.notifications.opened(event.by)

    @applies(Replied)
    def _replied(self, event: Replied) -> None:
        # A reply changes nothing of the approval; what it decided is an event of its own.
        if event.response_code is not None:
            self.notifications.tapped(event.by, event.response_code, event.timestamp)

    @applies(Approved)
    def _approved(self, event: Approved) -> None:
        self.ending = _decided(Status.APPROVED, event)
        self.approved_by = event.by
        self.permit = self._issued(event)

    def _issued(self, event: Approved) -> Permit | None:
        """None for what was approved before there were permits, and for a test."""
        if None in (event.permit_key, event.permit_issuer, event.permit_expires_at):
            return None
        asked = self.requested
        return Permit(
            key_id=str(event.permit_key),
            issuer=str(event.permit_issuer),
            engine=asked.engine,
            reply_id=self.reply_id,
            obj_id=asked.obj_id,
            run=asked.run,
            approval_id=self.approval_id,
            action_digest=asked.action_digest,
            by=event.by,
            issued_at=event.timestamp,
            expires_at=cast(datetime, event.permit_expires_at),
        )

    @applies(Rejected)
    def _rejected(self, event: Rejected) -> None:
        self.ending = _decided(Status.REJECTED, event)

    @applies(Expired)
    def _expired(self, event: Expired) -> None:
        self.ending = Ending(Status.EXPIRED, event.timestamp, Channel.CLOCK)

    @applies(Cancelled)
    def _cancelled(self, event: Cancelled) -> None:
        via = Channel(event.channel)
        self.ending = Ending(
            Status.CANCELLED,
            event.timestamp,
            via,
            by=None if via is Channel.SHELL else event.by,
            reason=event.reason,
        )

    @applies(Revoked)
    def _revoked(self, event: Revoked) -> None:
        self.ending = _decided(Status.REVOKED, event)

    @applies(WebhookDelivered)
    def _webhook_delivered(self, event: WebhookDelivered) -> None:
        webhook = self.webhooks.tried(event.delivery, event.attempt, event.timestamp)
        webhook.is_delivered, webhook.is_undelivered, webhook.problem = True, False, None

    @applies(WebhookFailed)
    def _webhook_failed(self, event: WebhookFailed) -> None:
        webhook = self.webhooks.tried(event.delivery, event.attempt, event.timestamp)
        webhook.failures, webhook.problem = event.failures, event.problem
        webhook.due_at, webhook.is_undelivered = event.retry_at, event.retry_at is None

    @applies(WebhookRequeued)
    def _webhook_requeued(self, event: WebhookRequeued) -> None:
        webhook = self.webhooks.at(event.delivery)
        webhook.failures, webhook.due_at, webhook.is_undelivered = 0, None, False

    @applies(Redeemed)
    def _redeemed(self, event: Redeemed) -> None:
        self.redeemed = event

    @applies(RedemptionRefused)
    def _redemption_refused(self, event: RedemptionRefused) -> None:
        self._refused_redemptions.add((event.attempt, event.refusal))

    @applies(OutcomeReported)
    def _outcome_reported(self, event: OutcomeReported) -> None:
        self.outcome = event


def _decided(
    status: Status, event: Approval.Approved | Approval.Rejected | Approval.Revoked
) -> Ending:
    return Ending(
        status,
        event.timestamp,
        Channel(event.channel),
        by=event.by,
        capacity=Capacity(event.capacity),
        reason=event.reason,
    )


def _request_fields(asked: RequestApproval) -> dict[str, Any]:
    """What makes two requests the same, apart from the approvers, which are a set without case."""
    return {
        "engine": asked.engine,
        "obj_id": asked.obj_id,
        "run": asked.run,
        "message": asked.message,
        "kind": asked.kind.value,
        "risk": asked.risk.value,
        "expires_in": asked.expires_in,
        "biz_id": asked.biz_id,
        "requested_by": asked.requested_by,
        "action": asked.action,
        "action_digest": asked.action_digest,
        "details": asked.details,
        "callback_url": asked.callback_url,
        "test": asked.test,
    }


def _people(userids: list[str]) -> set[str]:
    return {same_person(userid) for userid in userids}

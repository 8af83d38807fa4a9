"""Who may decide, and how: named rules in order; the first refusal wins."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from domain import errors
from domain.decision import Capacity, Channel, Risk, Verdict
from domain.freeze import Frozen
from domain.identity import same_person
from domain.permit import PermitTerms

if TYPE_CHECKING:
    from domain.approval import Approval

FRESH_LOGIN = timedelta(minutes=5)
CLOCKS_DIFFER_BY = timedelta(seconds=5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A readable answer to one approval, and what is known about how it was given."""

    by: str
    verdict: Verdict
    channel: Channel
    words: str
    reason: str | None = None
    named: bool = True
    """The id was typed, or its own page or card was used."""
    from_list: bool = False
    batch: str | None = None
    """Given together with others by one press."""
    login_age: timedelta | None = None
    """How long ago the member had logged in when they pressed the button; None: not on a page."""
    may_decide_all: bool = False
    """The member is a super approver by the settings in force at this moment."""
    frozen: Frozen | None = None
    """Approving is stopped for everybody at this moment."""
    terms: PermitTerms | None = None
    """By what the permit is issued, if this approves."""


Rule = Callable[["Approval", Answer], errors.Refusal | None]


def not_the_requester(approval: "Approval", answer: Answer) -> errors.Refusal | None:
    """Who requests does not decide, even as an approver or super approver."""
    if approval.is_requester(answer.by):
        return errors.OwnRequest(answer.by, approval.reply_id)
    return None


def an_approver_or_super_approver(approval: "Approval", answer: Answer) -> errors.Refusal | None:
    """Nobody else may decide."""
    if capacity(approval, answer) is None:
        return errors.NotAnApprover(answer.by, approval.reply_id)
    return None


def not_ended(approval: "Approval", answer: Answer) -> errors.Refusal | None:
    """The first end stands."""
    if approval.ending is not None:
        return errors.AlreadyDecided(approval.reply_id, approval.ending)
    return None


def high_risk_by_its_own_page_or_id(approval: "Approval", answer: Answer) -> errors.Refusal | None:
    """A high risk is never decided from a list, in a batch or without its id."""
    by_its_own = answer.named and not answer.from_list and answer.batch is None
    if approval.risk is Risk.HIGH and not by_its_own:
        return errors.NotFromList(approval.reply_id)
    return None


def high_risk_approved_after_a_fresh_login(
    approval: "Approval", answer: Answer
) -> errors.Refusal | None:
    """On a page, a high risk is approved by who has just shown who they are; anybody may reject."""
    approves_on_a_page = answer.channel is Channel.WEB and answer.verdict is Verdict.APPROVE
    if approval.risk is Risk.HIGH and approves_on_a_page and not is_fresh(answer.login_age):
        return errors.LoginTooOld(approval.reply_id)
    return None


def has_read_the_message(approval: "Approval", answer: Answer) -> errors.Refusal | None:
    """Where the message did not fit, text and card decide only after the page was opened."""
    by_message = answer.channel in (Channel.TEXT, Channel.CARD)
    if by_message and not approval.notifications.has_seen_whole(answer.by, answer.channel):
        return errors.OpenItFirst(approval.reply_id)
    return None


def nothing_is_frozen(approval: "Approval", answer: Answer) -> errors.Refusal | None:
    """While approving is frozen anybody who may can still reject."""
    if answer.frozen is not None and answer.verdict is Verdict.APPROVE:
        return errors.Frozen(answer.frozen)
    return None


RIGHT_TO_DECIDE: tuple[Rule, ...] = (not_the_requester, an_approver_or_super_approver)
MOMENT_AND_MANNER: tuple[Rule, ...] = (
    not_ended,
    nothing_is_frozen,
    high_risk_by_its_own_page_or_id,
    high_risk_approved_after_a_fresh_login,
    has_read_the_message,
)


def is_fresh(login_age: timedelta | None) -> bool:
    """
    Whether a login is young enough to approve a high risk with; at the limit it still is.

    One that lies ahead by more than clocks differ is none: the clock was set back, and nobody
    knows how old it is.
    """
    return login_age is not None and -CLOCKS_DIFFER_BY <= login_age <= FRESH_LOGIN


def first_refusal(
    rules: tuple[Rule, ...], approval: "Approval", answer: Answer
) -> errors.Refusal | None:
    """What the first rule that objects has to say, or None."""
    return next((no for rule in rules if (no := rule(approval, answer)) is not None), None)


def capacity(approval: "Approval", answer: Answer) -> Capacity | None:
    """In which capacity the member may decide; None for a stranger."""
    if same_person(answer.by) in {same_person(userid) for userid in approval.approvers}:
        return Capacity.APPROVER
    return Capacity.SUPER_APPROVER if answer.may_decide_all else None

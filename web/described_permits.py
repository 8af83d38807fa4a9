"""An approval is for one action, once: redeem its permit, report what became of it."""

from web import answers, examples, problems
from web.ask import OutcomeRequest, RedeemRequest
from web.operation import Answer, Operation

SUBJECT = "Permits"

OPERATIONS = (
    Operation(
        "POST",
        "/permits/redeem",
        "redeemPermit",
        SUBJECT,
        "May I act now?",
        "Once for each approval, before its action is begun. The same attempt again is answered "
        "the same, because the answer may have been lost; another attempt must not act. A good "
        "signature alone does not prove first use: redeeming does. Every answer but 200 means: "
        "do not act; after 429, 500, 503 or none at all, ask again with the same attempt.",
        (Answer(200, "Act, once, and exactly so.", answers.Approval, examples.APPROVED),),
        (
            problems.BAD_PERMIT,
            problems.ALREADY_REDEEMED,
            problems.REVOKED,
            problems.FROZEN,
            problems.PERMIT_EXPIRED,
            problems.ACTION_DIFFERS,
        ),
        body=RedeemRequest,
        body_examples={"with its action": examples.REDEEM},
    ),
    Operation(
        "POST",
        "/approvals/{approval_id}/outcome",
        "reportOutcome",
        SUBJECT,
        "Report what became of the action",
        "Recorded, shown, and told to the approvers. The same again: the same answer.",
        (Answer(200, "It is recorded.", answers.Approval, examples.APPROVED),),
        (problems.UNKNOWN_APPROVAL, problems.NOT_APPROVED, problems.OUTCOME_DIFFERS),
        body=OutcomeRequest,
        body_examples={"it failed": {"outcome": "failed", "detail": "备机不足"}},
    ),
    Operation(
        "GET",
        "/permits/keys",
        "getPermitKeys",
        SUBJECT,
        "Keys that sign permits",
        "A JWKS: public keys with which a permit that still counts may be signed.",
        (Answer(200, "The keys.", answers.KeySet, examples.KEYS),),
        is_open=True,
    ),
)

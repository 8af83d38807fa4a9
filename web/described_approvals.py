"""Ask for an approval, look at it, cancel it."""

from web import answers, examples, problems
from web.ask import ApprovalRequest, CancelRequest
from web.operation import Answer, Header, Operation
from web.queries import ApprovalsQuery

SUBJECT = "Approvals"
LOCATION = Header("Location", "Where the approval is.")
ETAG = Header("ETag", "A strong ETag, of this very answer; changes whenever the approval does.")
IF_NONE_MATCH = Header("If-None-Match", "ETags that one holds, or `*`: then 304 without a body.")
OF_IT = {"approval_id": "$response.body#/approval_id"}
LINKS = {
    name: {"operationId": name, "parameters": OF_IT}
    for name in ("getApproval", "listApprovalEvents", "cancelApproval")
}

OPERATIONS = (
    Operation(
        "POST",
        "/approvals",
        "askApproval",
        SUBJECT,
        "Ask for an approval",
        "The same request again is the same approval, however often and at any state: equal after "
        "defaults, approvers as a set without case, `expires_in` as given; the deadline does not "
        "move. Asking run N+1 cancels a lower run of the same engine that still waits. What was "
        "answered with success is on disk.",
        (
            Answer(
                201,
                "It is new, and its approvers are being asked.",
                answers.Approval,
                examples.WAITING,
                (LOCATION,),
                links=LINKS,
            ),
            Answer(
                200,
                "It was asked before.",
                answers.Approval,
                examples.APPROVED,
                (LOCATION,),
                links=LINKS,
            ),
        ),
        (problems.CONFLICTING, problems.NOBODY_CAN_DECIDE),
        body=ApprovalRequest,
        body_examples={
            "with everything that helps to decide": examples.REQUEST,
            "the smallest": examples.SMALLEST_REQUEST,
        },
    ),
    Operation(
        "GET",
        "/approvals",
        "listApprovals",
        SUBJECT,
        "List approvals",
        "Those that match all that is given, in the order in which they were asked, a page at a "
        "time; an engine sees its own, a reader everybody's. What is asked meanwhile stands after "
        "the pages already read.",
        (
            Answer(
                200,
                "A page.",
                answers.ApprovalPage,
                {"approvals": [examples.APPROVED], "next": None},
            ),
        ),
        query=ApprovalsQuery,
    ),
    Operation(
        "GET",
        "/approvals/{approval_id}",
        "getApproval",
        SUBJECT,
        "Look at an approval",
        "As it is now.",
        (
            Answer(200, "The approval.", answers.Approval, examples.APPROVED, (ETAG,)),
            Answer(304, "It is as one holds it.", headers=(ETAG,)),
        ),
        (problems.UNKNOWN_APPROVAL,),
        headers=(IF_NONE_MATCH,),
    ),
    Operation(
        "GET",
        "/approvals/{approval_id}/events",
        "listApprovalEvents",
        SUBJECT,
        "Everything that happened to an approval",
        "Oldest first, refused replies too.",
        (Answer(200, "Its events.", answers.EventList, examples.EVENTS),),
        (problems.UNKNOWN_APPROVAL,),
    ),
    Operation(
        "POST",
        "/approvals/{approval_id}/cancel",
        "cancelApproval",
        SUBJECT,
        "Cancel an approval",
        "For the engine that asked, while nothing else has ended it. Again by the same engine: "
        "the same answer.",
        (Answer(200, "It is cancelled.", answers.Approval, examples.CANCELLED),),
        (problems.UNKNOWN_APPROVAL, problems.ALREADY_DECIDED),
        body=CancelRequest,
        body_examples={"recovered": {"reason": "告警已恢复"}},
    ),
)

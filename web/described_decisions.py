"""Follow the decisions."""

from web import answers, examples, problems
from web.operation import Answer, Header, Operation
from web.queries import DecisionsQuery, StreamQuery

SUBJECT = "Decisions"
ORDER = (
    "Positions are those of the one event sequence: they only grow, with gaps, and become visible "
    "in order. Who has seen P has seen every decision up to P."
)
FEED_ID = Header("Feed-Id", "Names the store: another one after it was put back.")
LAST_EVENT_ID = Header(
    "Last-Event-ID",
    "The last position that was seen; wins over `after`.",
    {"type": "string", "pattern": "^[0-9]+$"},
)

OPERATIONS = (
    Operation(
        "GET",
        "/decisions",
        "pollDecisions",
        SUBJECT,
        "Poll for decisions",
        f"The next decisions after a position, waited for if one wants. {ORDER}",
        (Answer(200, "Decisions, or none yet.", answers.DecisionPage, examples.DECISIONS),),
        (problems.POSITION_UNKNOWN,),
        query=DecisionsQuery,
    ),
    Operation(
        "GET",
        "/decisions/stream",
        "streamDecisions",
        SUBJECT,
        "Stream decisions",
        "Server-Sent Events: `id` is the position, `event` the type, `data` the decision in one "
        "line; a comment at least every 15 seconds. Who does not take what is written is cut off. "
        "Resume with `Last-Event-ID` and nothing is "
        f"missed. {ORDER}",
        (
            Answer(
                200,
                "A stream that goes on until either side ends it.",
                example=examples.STREAM,
                headers=(FEED_ID,),
                media_type="text/event-stream",
            ),
        ),
        (problems.POSITION_UNKNOWN,),
        query=StreamQuery,
        headers=(LAST_EVENT_ID,),
    ),
)

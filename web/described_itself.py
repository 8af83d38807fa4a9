"""The description itself: open to everybody."""

from web.described_approvals import ETAG, IF_NONE_MATCH
from web.operation import Answer, Operation

SUBJECT = "This description"
NOT_MODIFIED = Answer(304, "It is as one holds it.", headers=(ETAG,))

OPERATIONS = (
    Operation(
        "GET",
        "/openapi.json",
        "getOpenApi",
        SUBJECT,
        "This document",
        "OpenAPI 3.1, for programs.",
        (Answer(200, "The document.", headers=(ETAG,)), NOT_MODIFIED),
        headers=(IF_NONE_MATCH,),
        is_open=True,
    ),
    Operation(
        "GET",
        "/docs",
        "getDocs",
        SUBJECT,
        "This document as a page",
        "The same, for people.",
        (Answer(200, "The page.", headers=(ETAG,), media_type="text/html"), NOT_MODIFIED),
        headers=(IF_NONE_MATCH,),
        is_open=True,
    ),
)

"""What is pushed to the `callback_url` of an approval, and what of that was not taken."""

from typing import Any

from web import answers, examples, problems
from web.operation import Answer, Operation
from web.queries import WebhooksQuery

SUBJECT = "Webhooks"

OPERATIONS = (
    Operation(
        "GET",
        "/webhooks",
        "listWebhooks",
        SUBJECT,
        "List what could not be pushed yet",
        "What still waits, and what was given up, by position, a page at a time; an engine sees "
        "its own, a reader everybody's.",
        (
            Answer(
                200,
                "A page.",
                answers.WebhookPage,
                {"webhooks": [examples.UNDELIVERED], "next": None},
            ),
        ),
        query=WebhooksQuery,
    ),
    Operation(
        "POST",
        "/webhooks/{id}/redeliver",
        "redeliverWebhook",
        SUBJECT,
        "Have a decision pushed again",
        "One that was given up, for the engine that asked; by a schedule that begins anew.",
        (
            Answer(
                200,
                "It is on its way again.",
                answers.Webhook,
                {**examples.UNDELIVERED, "state": "waiting"},
            ),
        ),
        (
            problems.UNKNOWN_WEBHOOK,
            problems.ALREADY_DELIVERED,
            problems.NOT_UNDELIVERED,
            problems.OVERLOADED,
        ),
    ),
)

# No address of ours, so no operation.

WEBHOOKS: dict[str, Any] = {
    "decision": {
        "post": {
            "operationId": "receiveDecision",
            "tags": [SUBJECT],
            "summary": "A decision is pushed to you",
            "description": "To the `callback_url` of the approval, signed by the Standard Webhooks "
            "scheme: verify the signature before anything else, and treat a `webhook-id` that you "
            "know as the same delivery. Anything but 2xx within 10 seconds is tried again after "
            "5 s, 30 s, 2 min, 10 min, 1 h, 6 h and 24 h; then it is listed as undelivered. "
            "Redirects are not followed. A permit stands in it over https only.",
            "security": [],
            "parameters": [
                {
                    "name": "webhook-id",
                    "in": "header",
                    "required": True,
                    "description": "The same for every try of one delivery.",
                    "schema": {"type": "string"},
                },
                {
                    "name": "webhook-timestamp",
                    "in": "header",
                    "required": True,
                    "description": "Of this try: seconds since 1970. Refuse what is old.",
                    "schema": {"type": "string", "pattern": "^[0-9]+$"},
                },
                {
                    "name": "webhook-signature",
                    "in": "header",
                    "required": True,
                    "description": "`v1,` and base64 of the HMAC-SHA256 of id, timestamp and body "
                    "with dots between them; several, with blanks between them, while a secret is "
                    "replaced.",
                    "schema": {"type": "string"},
                },
            ],
            "requestBody": {
                "required": True,
                "content": {
                    "application/cloudevents+json": {
                        "schema": {"$ref": "#/components/schemas/Decision"},
                        "examples": {"approved": {"value": examples.DECISION}},
                    }
                },
            },
            "responses": {"2XX": {"description": "You have it."}},
        }
    }
}

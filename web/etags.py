"""`ETag` and `If-None-Match` (RFC 9110 8.8.3 and 13.1.2): what one holds is not sent again."""

import hashlib

from aiohttp import hdrs, web


def unless_held(request: web.Request, answer: web.Response) -> web.Response:
    """The answer with a strong ETag, or 304 without a body for who names that ETag."""
    assert isinstance(answer.body, bytes)  # noqa: S101  # json_answer and pages make such
    etag = hashlib.sha256(answer.body).hexdigest()[:32]
    answer.headers[hdrs.ETAG] = f'"{etag}"'
    if not _is_held(request, etag):
        return answer
    kept = (hdrs.ETAG, hdrs.CACHE_CONTROL)
    headers = {name: answer.headers[name] for name in kept if name in answer.headers}
    return web.Response(status=304, headers=headers)


def _is_held(request: web.Request, etag: str) -> bool:
    """Compared weakly, as the RFC wants it for this header; a bare `*` is any."""
    if request.headers.get(hdrs.IF_NONE_MATCH, "").strip() == "*":
        return True
    return etag in {one.value for one in request.if_none_match or ()}

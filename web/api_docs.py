"""The description of the engine API, for programs and for people; open without a token."""

import json
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import aiohttp_jinja2
import jinja2
from aiohttp import web

from web import keys
from web.api_page import Page, inline, prose
from web.etags import unless_held
from web.openapi import openapi
from web.pages import prepared

routes = web.RouteTableDef()

# It changes with the version of the service: kept, and asked for anew each time.
KEPT = {"Cache-Control": "no-cache"}


@routes.get("/openapi.json")
async def openapi_json(request: web.Request) -> web.Response:
    """The document, for programs."""
    body = _bytes(request.app[keys.SETTINGS].url_prefix)
    answer = web.Response(body=body, content_type="application/json", headers=KEPT)
    return unless_held(request, answer)


@routes.get("/docs")
async def docs(request: web.Request) -> web.Response:
    """The document as a page, without scripts."""
    text = _page(aiohttp_jinja2.get_env(request.app), request.app[keys.SETTINGS].url_prefix)
    return unless_held(request, prepared(request, text, KEPT))


@lru_cache(maxsize=1)
def _document(prefix: str) -> dict[str, Any]:
    return openapi(prefix, version("fta-approval"))


@lru_cache(maxsize=1)
def _bytes(prefix: str) -> bytes:
    return json.dumps(_document(prefix), ensure_ascii=False).encode()


@lru_cache(maxsize=1)
def _page(environment: jinja2.Environment, prefix: str) -> str:
    """Rendered once: it takes longer than anybody without a token should be able to ask for."""
    page = Page(_document(prefix))
    return environment.get_template("api_docs.html").render(page=page, prose=prose, inline=inline)

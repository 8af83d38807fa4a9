"""
Our style sheet and icon, named by their contents, so that browsers may keep them for good; and the
file by which WeCom knows that a host is ours.
"""

import hashlib
from functools import cache
from pathlib import Path

from aiohttp import web

FOLDER = Path(__file__).parent / "static"
FOR_GOOD = "public, max-age=31536000, immutable"


@cache
def version_of(name: str) -> str:
    """A few characters that change whenever the file does; empty if there is no such file."""
    file = FOLDER / name
    return hashlib.sha256(file.read_bytes()).hexdigest()[:12] if file.is_file() else ""


def add_static_files(app: web.Application, path: str) -> None:
    """Serve them under that path. The folder itself is no page and lists nothing."""
    versions = {path + file.name: version_of(file.name) for file in FOLDER.iterdir()}

    async def let_browsers_keep_it(request: web.Request, response: web.StreamResponse) -> None:
        if isinstance(response, web.FileResponse):
            version = versions.get(request.path)
            named = version is not None and request.query.get("v") == version
            response.headers["Cache-Control"] = FOR_GOOD if named else "no-cache"
            response.headers["X-Content-Type-Options"] = "nosniff"

    app.router.add_static(path, FOLDER)
    app.on_response_prepare.append(let_browsers_keep_it)


def add_verify_file(app: web.Application, file: Path) -> None:
    """
    Serve WeCom's proof of ownership at the root of the host, byte for byte, whatever our prefix is.

    Source: wecom-protocol 6.4.
    """
    content = file.read_bytes()

    async def prove(request: web.Request) -> web.Response:
        return web.Response(
            body=content,
            content_type="text/plain",
            headers={"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff"},
        )

    app.router.add_get(f"/{file.name}", prove)

"""A browser without a screen: keeps cookies, follows nothing by itself, reads forms."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from http.cookies import Morsel, SimpleCookie
from typing import Any
from urllib.parse import urlsplit

import yarl
from multidict import CIMultiDictProxy

from tests import confidential
from tests.service import Service
from web import keys
from web.addresses import origin_of

IN_WECOM = (
    "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/107.0.5304.141 Mobile Safari/537.36 MicroMessenger/7.0.1 wxwork/4.1.22"
)
OUTSIDE = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0"
APPROVE, REJECT = "approve", "reject"


@dataclass
class Form:
    """A form as it stands on a page: where it goes, what is filled in, which buttons it has."""

    action: str
    method: str
    fields: dict[str, str] = field(default_factory=dict)
    buttons: list[tuple[str, str]] = field(default_factory=list)

    def pressed(self, decision: str, reason: str = "") -> dict[str, str]:
        """What is sent when that button is pressed; there has to be one."""
        assert ("decision", decision) in self.buttons, self.buttons
        return {**self.fields, "reason": reason, "decision": decision}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self.tags.append((tag, given))
        if tag == "form":
            self.forms.append(Form(given["action"], given.get("method", "get")))
        elif tag in ("input", "textarea") and _is_sent(given):
            self.forms[-1].fields[given["name"]] = given.get("value", "")
        elif tag == "button" and self.forms:
            self.forms[-1].buttons.append((given.get("name", ""), given.get("value", "")))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def _is_sent(given: dict[str, str]) -> bool:
    """Whether a field goes with the form around it: no box ticked for another form, no choice that
    is not made, and nothing that only tells a script which cards there are."""
    if "form" in given or given.get("name") in ("list", "bar", "open", "did", "undo", "has"):
        return False
    return given.get("type") != "radio" or "checked" in given


@dataclass
class Page:
    """What came back."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    cookies: dict[str, Morsel[str]]

    @property
    def html(self) -> str:
        return self.body.decode()

    @property
    def text(self) -> str:
        """What one reads, on one line."""
        return " ".join("".join(self._read().words).split())

    @property
    def forms(self) -> list[Form]:
        """Those that decide something."""
        return [form for form in self._read().forms if form.action.endswith("/decision")]

    @property
    def all_forms(self) -> list[Form]:
        """Whatever they are for."""
        return self._read().forms

    @property
    def languages(self) -> Form:
        """The switch."""
        (form,) = [f for f in self._read().forms if f.action.endswith("/language/")]
        return form

    @property
    def revocation(self) -> Form | None:
        """What takes an approval back, where that can still be done."""
        found = [form for form in self._read().forms if form.action.endswith("/revocation")]
        return found[0] if found else None

    @property
    def logout(self) -> Form:
        """The way out, at the foot of a page."""
        (form,) = [f for f in self._read().forms if f.action.endswith("/accounts/logout/")]
        return form

    @property
    def tags(self) -> list[tuple[str, dict[str, str]]]:
        return self._read().tags

    @property
    def links(self) -> list[str]:
        return [given["href"] for tag, given in self.tags if tag == "a"]

    @property
    def location(self) -> str:
        return self.headers["Location"]

    @property
    def form(self) -> Form:
        """The only one."""
        (form,) = self.forms
        return form

    @property
    def picks(self) -> list[str]:
        """What can be ticked, to be decided together: uuids from the top."""
        return [given["value"] for _, given in self.tags if given.get("name") == "pick"]

    @property
    def batch(self) -> Form:
        """What decides several at once."""
        (form,) = [form for form in self._read().forms if form.action.endswith("/todo/batch/")]
        return form

    def form_of(self, approval: dict[str, Any]) -> Form:
        (form,) = [f for f in self.forms if approval["approval_id"] in f.action]
        return form

    def _read(self) -> _Reader:
        reader = _Reader()
        reader.feed(self.html)
        return reader


@dataclass
class Visitor:
    """Somebody with a browser of their own."""

    service: Service
    agent: str = IN_WECOM
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def prefix(self) -> str:
        return urlsplit(self.service.base).path

    @property
    def origin(self) -> str:
        return origin_of(self.service.app[keys.ADDRESSES].app_url)

    async def send(self, method: str, address: str, **request: Any) -> Page:
        """One exchange; whatever public address stands there, the service is what is asked."""
        parts = urlsplit(address)
        if self.service.wecom.url.endswith(parts.netloc or "?"):  # type: ignore[attr-defined]
            url = yarl.URL(address, encoded=True)
        else:
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            url = yarl.URL(self.service.url + path, encoded=True)
        headers = {"User-Agent": self.agent, **request.pop("headers", {})}
        if self.cookies:
            headers["Cookie"] = "; ".join(f"{n}={v}" for n, v in self.cookies.items())
        async with self.service.http.request(
            method, url, headers=headers, allow_redirects=False, **request
        ) as response:
            set_now: SimpleCookie = SimpleCookie()
            for line in response.headers.getall("Set-Cookie", ()):
                set_now.load(line)
            page = Page(response.status, response.headers, await response.read(), dict(set_now))
        self._keep(page)
        return page

    async def get(self, path: str, **request: Any) -> Page:
        """A page of the service by its path under the prefix, or by a whole address."""
        return await self.send("GET", self._address(path), **request)

    async def post(self, path: str, fields: Any, **request: Any) -> Page:
        return await self.send("POST", self._address(path), data=fields, **request)

    async def press(self, form: Form, decision: str, reason: str = "", **request: Any) -> Page:
        """A button, as browsers press it: with the Origin of the page."""
        headers = {"Origin": self.origin, **request.pop("headers", {})}
        fields = form.pressed(decision, reason)
        return await self.send("POST", form.action, data=fields, headers=headers, **request)

    async def revoke(self, form: Form | None, reason: str = "", **request: Any) -> Page:
        """Press 撤销同意."""
        assert form is not None, "there is no such button"
        headers = {"Origin": self.origin, **request.pop("headers", {})}
        fields = {**form.fields, "reason": reason}
        return await self.send("POST", form.action, data=fields, headers=headers, **request)

    async def log_out(self, page: Page, **request: Any) -> Page:
        """Press the button at the foot of that page."""
        headers = {"Origin": self.origin, **request.pop("headers", {})}
        form = page.logout
        return await self.send("POST", form.action, data=form.fields, headers=headers, **request)

    async def log_in(self, userid: str, path: str = "/wechat/todo/") -> Page:
        """By way of WeCom, to the page that was asked for."""
        asked = await self.get(path)
        assert asked.status == 303, asked.html
        back = await self.through_wecom(await self.get(asked.location), userid)
        arrived = await self.get(back)
        assert arrived.status == 303, arrived.html
        return await self.get(arrived.location)

    async def through_wecom(self, sent_away: Page, userid: str) -> str:
        """What WeCom does with a browser that we sent there: the address it sends it back to."""
        assert sent_away.status == 302, sent_away.html
        there = sent_away.location.partition("#")[0]
        answered = await self.send("GET", f"{there}&userid={userid}")
        assert answered.status == 302, answered.html
        return answered.location

    def forget(self) -> None:
        """Another browser, which has none of these cookies."""
        self.cookies.clear()

    def _address(self, path: str) -> str:
        return self.prefix + path if path.startswith(("/wechat/", "/audit/")) else path

    def _keep(self, page: Page) -> None:
        for name, morsel in page.cookies.items():
            if morsel["max-age"] == "0":
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = confidential.note("cookie", morsel.coded_value)

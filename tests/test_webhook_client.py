"""The careful POST: where it goes, how long it waits, how much it reads, and what it never does."""

import asyncio
import gzip
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp.streams import StreamReader

from adapters.engine.names import AddressInfo, JudgedNames
from adapters.engine.reachable import Own, Reachable
from adapters.engine.webhooks import MOST_READ_BYTES, Outcome, WebhookClient
from tests.nginx import make_certificate
from tests.receiver import Got, Receiver
from tests.test_sending import until

NAME = "receiver.example"
SHORT_S = 0.3
ENOUGH_S = 3.0  # for the head of an answer, also on a busy machine
LONG_S = 60.0
BODY = b'{"specversion":"1.0"}'

StartReceiver = Callable[..., Awaitable[Receiver]]
StartClient = Callable[..., Awaitable[WebhookClient]]


def names(**known: list[str]) -> Callable[[str, int], list[AddressInfo]]:
    """A resolver that knows these (dots written as underscores), and what they are at each time."""

    def look_up(host: str, port: int) -> list[AddressInfo]:
        addresses = known.get(host.replace(".", "_"))
        if not addresses:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        found = []
        for address in addresses:
            found += socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)
        return list(found)

    return look_up


def only_digits(host: str, port: int) -> list[AddressInfo]:
    """Everything that the machine's resolver takes for an address, and no question to a server."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)
    return list(found)


@pytest.fixture
async def receivers() -> AsyncIterator[StartReceiver]:
    async with AsyncExitStack() as stack:

        async def start(trusted: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Receiver:
            receiver = await Receiver(trusted=trusted, host=host).start()
            stack.push_async_callback(receiver.stop)
            return receiver

        yield start


@pytest.fixture
async def receiver(receivers: StartReceiver) -> Receiver:
    return await receivers()


@pytest.fixture
async def clients() -> AsyncIterator[StartClient]:
    async with AsyncExitStack() as stack:

        async def start(*allowed: str, own_port: int = 1, **settings: Any) -> WebhookClient:
            judge = Reachable(Own("127.0.0.1", own_port), allowed)
            return await stack.enter_async_context(WebhookClient(judge, **settings))

        yield start


@pytest.fixture
async def client(clients: StartClient) -> WebhookClient:
    return await clients(timeout_s=LONG_S, look_up=only_digits)


async def push(client: WebhookClient, url: str) -> Outcome:
    return await client.push(url, {"webhook-id": "1"}, BODY)


async def test_it_posts_what_it_is_given(client: WebhookClient, receiver: Receiver) -> None:
    assert await push(client, receiver.url("/a/b?c=d#e")) == Outcome()
    (got,) = receiver.got
    assert (got.path, got.body, got.headers["webhook-id"]) == ("/a/b?c=d", BODY, "1")
    assert got.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"


# Where it goes.


async def test_the_name_is_in_the_request_and_the_address_is_the_one_that_was_judged(
    clients: StartClient, receiver: Receiver
) -> None:
    client = await clients(look_up=names(receiver_example=["127.0.0.1"]), timeout_s=LONG_S)
    assert await push(client, f"http://{NAME}:{receiver.port}/") == Outcome()
    assert receiver.got[0].headers["host"] == f"{NAME}:{receiver.port}"


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "fe80::1", "0.0.0.1", "::", "224.0.0.1", "::ffff:169.254.1.1"]
)
async def test_a_name_for_an_address_that_must_not_be_reached_is_refused(
    clients: StartClient, receiver: Receiver, address: str
) -> None:
    client = await clients(look_up=names(receiver_example=[address]), timeout_s=LONG_S)
    outcome = await push(client, f"http://{NAME}:{receiver.port}/")
    assert outcome.problem is not None and "nothing was sent" in outcome.problem
    assert not outcome.down
    assert receiver.connections == 0


@pytest.mark.parametrize(
    "host",
    [
        *("169.254.169.254", "0.0.0.1", "[::]", "[fe80::1]", "[::ffff:169.254.169.254]"),
        *("2852039166", "0xa9fea9fe", "169.254.43518", "127.1", "0", "①②⑦.0.0.1:1"),
    ],
)
async def test_digits_are_judged_without_a_name(client: WebhookClient, host: str) -> None:
    outcome = await push(client, f"http://{host}/")
    assert outcome.problem is not None and not outcome.down, outcome


async def test_of_several_addresses_only_those_that_may_be_reached_are_connected_to(
    clients: StartClient, receiver: Receiver
) -> None:
    client = await clients(
        look_up=names(receiver_example=["169.254.169.254", "127.0.0.1"]), timeout_s=LONG_S
    )
    assert await push(client, f"http://{NAME}:{receiver.port}/") == Outcome()


async def test_a_name_that_changes_between_two_questions_changes_nothing(
    clients: StartClient, receivers: StartReceiver
) -> None:
    """DNS rebinding: whatever the name is the second time, one connects to what was judged."""
    good = await receivers()
    asked: list[str] = []

    def look_up(host: str, port: int) -> list[AddressInfo]:
        asked.append(host)
        address = "127.0.0.1" if len(asked) % 2 else "169.254.169.254"
        return list(socket.getaddrinfo(address, port, type=socket.SOCK_STREAM))

    client = await clients(look_up=look_up, timeout_s=LONG_S)
    url = f"http://{NAME}:{good.port}/"
    assert await push(client, url) == Outcome()
    assert len(asked) == 1
    # And each try asks anew: nothing is kept, neither the answer nor the connection.
    refused = await push(client, url)
    assert refused.problem is not None and "link-local" in refused.problem
    assert (len(asked), good.connections) == (2, 1)


async def test_the_last_look_is_taken_at_the_socket(
    clients: StartClient, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were an address to slip by every check before, no socket would go there."""
    client = await clients(own_port=receiver.port, timeout_s=LONG_S)
    with monkeypatch.context() as patch:
        patch.setattr(Reachable, "check_url", lambda self, url: None)
        assert (await push(client, receiver.url())).problem == "no connection"
    assert receiver.connections == 0


async def test_the_service_itself_is_refused_by_address_and_by_name(
    clients: StartClient, receiver: Receiver
) -> None:
    client = await clients(
        own_port=receiver.port, look_up=names(localhost=["127.0.0.1"]), timeout_s=LONG_S
    )
    for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]"):
        outcome = await push(client, f"http://{host}:{receiver.port}/")
        assert outcome.problem is not None and "itself listens" in outcome.problem
    assert receiver.connections == 0


async def test_only_allowed_hosts_are_connected_to(
    clients: StartClient, receiver: Receiver
) -> None:
    known = names(receiver_example=["127.0.0.1"], other_example=["127.0.0.1"])
    client = await clients(NAME, look_up=known, timeout_s=LONG_S)
    assert await push(client, f"http://{NAME}:{receiver.port}/") == Outcome()
    for host in ("other.example", "127.0.0.1"):
        outcome = await push(client, f"http://{host}:{receiver.port}/")
        assert outcome == Outcome(
            f"nothing was sent: {host} is not among FTA_APPROVAL_CALLBACK_HOSTS"
        )
    assert receiver.connections == 1


@pytest.mark.parametrize(
    "url",
    ["ftp://127.0.0.1/", "http://u:p@127.0.0.1/", "http://", "x", "http://[::1", "http://a..b/"],
)
async def test_what_is_no_address_is_a_failure_of_its_own(client: WebhookClient, url: str) -> None:
    outcome = await push(client, url)
    assert outcome.problem is not None and "p@" not in outcome.problem


# Down.


async def test_where_nobody_listens_it_is_down(client: WebhookClient, receiver: Receiver) -> None:
    await receiver.stop()
    assert await push(client, receiver.url()) == Outcome("no connection", down=True)


async def test_a_name_that_is_not_found_is_down(clients: StartClient) -> None:
    client = await clients(look_up=names(), timeout_s=LONG_S)
    outcome = await push(client, f"http://{NAME}/")
    assert outcome == Outcome("the name cannot be found", down=True)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"\x00\x01\x02\r\n\r\n",
        b"SSH-2.0-x\r\n\r\n",
        b"HTTP/1.1 999999\r\n",
    ],
    ids=["nothing", "half a head", "no HTTP", "another protocol", "no status"],
)
async def test_an_answer_that_is_none_is_down(
    client: WebhookClient, receiver: Receiver, answer: bytes
) -> None:
    async def behave(got: Got, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    receiver.behave = behave
    outcome = await push(client, receiver.url())
    assert outcome.problem is not None and outcome.down


# How long, how much.


async def drip(writer: asyncio.StreamWriter, what: bytes) -> None:
    """For as long as somebody listens."""
    while True:
        writer.write(what)
        await writer.drain()
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("before", "again"),
    [
        (b"", b""),
        (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
        (b"HTTP/1.1 200 OK\r\nX-A: ", b"b"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["silence", "headers", "one header", "go on"],
)
async def test_who_does_not_come_to_an_answer_in_time_is_down(
    clients: StartClient, receiver: Receiver, before: bytes, again: bytes
) -> None:
    async def behave(got: Got, writer: asyncio.StreamWriter) -> None:
        writer.write(before)
        await drip(writer, again)

    receiver.behave = behave
    client = await clients(timeout_s=SHORT_S)
    outcome = await push(client, receiver.url())
    assert outcome.down and outcome.problem is not None
    if before + again == b"":
        assert outcome == Outcome(f"no answer within {SHORT_S} seconds", down=True)


@pytest.mark.parametrize(("status", "taken"), [(200, True), (400, False)])
async def test_a_body_that_drips_for_ever_counts_as_its_status_says(
    clients: StartClient, receiver: Receiver, status: int, taken: bool
) -> None:
    async def behave(got: Got, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status} So\r\nContent-Length: 100000\r\n\r\n".encode())
        await drip(writer, b"x")

    receiver.behave = behave
    client = await clients(timeout_s=ENOUGH_S)
    outcome = await push(client, receiver.url())
    assert ((outcome.problem is None), outcome.down) == (taken, False)


@pytest.mark.parametrize("status", [200, 404, 503])
async def test_an_endless_body_is_left_after_64_kib_and_counts_as_its_status_says(
    client: WebhookClient, receiver: Receiver, status: int
) -> None:
    sent = 0
    gone = asyncio.Event()

    async def behave(got: Got, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.transport.set_write_buffer_limits(0)
        writer.write(f"HTTP/1.1 {status} So\r\n\r\n".encode())
        with suppress(ConnectionError):
            while True:
                writer.write(bytes(4096))
                await writer.drain()
                sent += 4096
        gone.set()

    receiver.behave = behave
    outcome = await push(client, receiver.url())
    async with asyncio.timeout(LONG_S):
        await gone.wait()
    assert (outcome.problem is None, outcome.down) == (status == 200, status == 503)
    assert sent >= 4096


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """
    How many bytes of answers were read, at each reading.

    Counted where they are taken; what a kernel buffers beside that is its own affair.
    """
    counted: list[int] = []
    take = StreamReader.read

    async def counting(self: StreamReader, n: int = -1) -> bytes:
        some = await take(self, n)
        counted.append(len(some))
        return some

    monkeypatch.setattr(StreamReader, "read", counting)
    return counted


async def test_no_more_than_64_kib_are_read(
    client: WebhookClient, receiver: Receiver, read: list[int]
) -> None:
    async def behave(got: Got, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await drip(writer, bytes(32 * 1024))

    receiver.behave = behave
    assert await push(client, receiver.url()) == Outcome()
    assert sum(read) == MOST_READ_BYTES


async def test_a_compressed_answer_stays_compressed(
    client: WebhookClient, receiver: Receiver, read: list[int]
) -> None:
    bomb = gzip.compress(bytes(10_000_000))

    async def behave(got: Got, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n"
        writer.write(head.encode() + bomb)

    receiver.behave = behave
    assert await push(client, receiver.url()) == Outcome()
    assert receiver.got[0].headers["accept-encoding"] == "identity"
    assert sum(read) == len(bomb)


async def test_a_body_that_breaks_off_counts_as_its_status_says(
    client: WebhookClient, receiver: Receiver
) -> None:
    async def behave(got: Got, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nx")

    receiver.behave = behave
    assert await push(client, receiver.url()) == Outcome()


async def test_a_name_that_nobody_finds_for_a_while_keeps_no_other_waiting(
    clients: StartClient, receiver: Receiver
) -> None:
    """More of them than any pool of an event loop has threads."""
    hangs = socket.socketpair()
    begun: list[str] = []

    def look_up(host: str, port: int) -> list[AddressInfo]:
        if host != NAME:
            begun.append(host)
            hangs[0].recv(1, socket.MSG_PEEK)  # until the test is over
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        return list(socket.getaddrinfo("127.0.0.1", port, type=socket.SOCK_STREAM))

    client = await clients(look_up=look_up, timeout_s=LONG_S)
    hanging = [asyncio.create_task(push(client, f"http://{n}.example/")) for n in range(50)]
    try:
        await until(lambda: len(begun) == len(hanging))
        assert await push(client, f"http://{NAME}:{receiver.port}/") == Outcome()
        assert not any(task.done() for task in hanging)
    finally:
        hangs[1].send(b"x")
        outcomes = await asyncio.gather(*hanging)
        for end in hangs:
            end.close()
    assert set(outcomes) == {Outcome("the name cannot be found", down=True)}


async def test_who_waits_for_the_same_name_has_it_looked_up_once() -> None:
    asked = 0
    hangs = socket.socketpair()

    def look_up(host: str, port: int) -> list[AddressInfo]:
        nonlocal asked
        asked += 1
        hangs[0].recv(1, socket.MSG_PEEK)
        return list(socket.getaddrinfo("127.0.0.1", port, type=socket.SOCK_STREAM))

    resolver = JudgedNames(Reachable(Own("127.0.0.1", 1)).check, look_up)
    waiting = [asyncio.create_task(resolver.resolve(NAME, 80)) for _ in range(3)]
    await asyncio.sleep(0)  # each has asked
    waiting[0].cancel()  # whose time is over takes the answer from nobody
    hangs[1].send(b"x")
    await asyncio.wait(waiting)
    for end in hangs:
        end.close()
    assert waiting[0].cancelled()
    assert [[one["host"] for one in task.result()] for task in waiting[1:]] == [["127.0.0.1"]] * 2
    assert asked == 1


# What it never does.


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(
    client: WebhookClient, receivers: StartReceiver, status: int
) -> None:
    first, second = await receivers(), await receivers()
    first.answers(status, f"Location: {second.url()}\r\n")
    outcome = await push(client, first.url())
    assert outcome == Outcome(f"answered {status} (redirects are not followed)")
    assert (first.connections, second.connections) == (1, 0)


async def test_no_cookie_is_kept(client: WebhookClient, receiver: Receiver) -> None:
    receiver.answers(200, "Set-Cookie: a=b; Path=/\r\n")
    for _ in range(2):
        assert await push(client, receiver.url()) == Outcome()
    assert "cookie" not in receiver.got[1].headers


async def test_nothing_of_the_environment_is_used(
    clients: StartClient,
    receivers: StartReceiver,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    receiver, proxy = await receivers(), await receivers()
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login u password p\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url())
    client = await clients(timeout_s=LONG_S)
    assert await push(client, receiver.url()) == Outcome()
    assert (proxy.connections, "authorization" in receiver.got[0].headers) == (0, False)


async def test_each_try_has_a_connection_of_its_own(
    client: WebhookClient, receiver: Receiver
) -> None:
    receiver.answers(200, "Connection: keep-alive\r\n")
    for _ in range(3):
        assert await push(client, receiver.url()) == Outcome()
    assert receiver.connections == 3


# TLS.


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """For localhost: the server's, and what believes it."""
    trusting = make_certificate(tmp_path)
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(tmp_path / "fullchain.pem", tmp_path / "privkey.pem")
    return serving, trusting


async def test_the_certificate_is_that_of_the_name(
    clients: StartClient,
    receivers: StartReceiver,
    certificate: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    serving, trusting = certificate
    receiver = await receivers(serving)
    asked: list[str | None] = []
    serving.sni_callback = lambda connection, name, context: asked.append(name)
    known = names(localhost=["127.0.0.1"], receiver_example=["127.0.0.1"])
    client = await clients(look_up=known, trusted=trusting, timeout_s=LONG_S)
    assert await push(client, f"https://localhost:{receiver.port}/") == Outcome()
    assert asked == ["localhost"]
    wrong = await push(client, f"https://{NAME}:{receiver.port}/")
    assert wrong == Outcome("the certificate is not trusted", down=True)
    assert len(receiver.got) == 1


async def test_a_certificate_of_nobody_known_is_not_trusted(
    clients: StartClient,
    receivers: StartReceiver,
    certificate: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    receiver = await receivers(certificate[0])
    client = await clients(look_up=names(localhost=["127.0.0.1"]), timeout_s=LONG_S)
    outcome = await push(client, f"https://localhost:{receiver.port}/")
    assert outcome == Outcome("the certificate is not trusted", down=True)
    assert receiver.got == []


async def test_who_speaks_no_tls_is_down(clients: StartClient, receiver: Receiver) -> None:
    client = await clients(timeout_s=SHORT_S)
    outcome = await push(client, f"https://127.0.0.1:{receiver.port}/")
    assert outcome.down and receiver.got == []

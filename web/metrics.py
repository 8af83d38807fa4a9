"""/metrics: figures that exist anyway, in the words of Prometheus. docs/metrics.md explains each.

No label holds a userid, an obj_id or a business (contract 3): labels come from closed sets in our
code (web/tally.py), and of WeCom's errcodes only numbers, and only so many.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping

import structlog
from aiohttp import web
from eventsourcing.domain import EventSourcingError
from eventsourcing.persistence import PersistenceError
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from web import keys
from web.evidence import LastVerification, last_verification
from web.health import wecom_trouble
from web.reading import Backlog

COUNTED_WITHIN_S = 5.0

log = structlog.get_logger()


async def metrics(request: web.Request) -> web.Response:
    """Everything there is now, in the format that the scraper prefers."""
    registry = CollectorRegistry()
    backlog = await _backlog(request.app)
    verified = None if backlog is None else await _verified(request.app)
    registry.register(Figures(request.app, backlog, verified))
    accepted = request.headers.get("Accept", "")
    try:
        encode, content_type = choose_encoder(accepted)
    except (TypeError, ValueError):  # a version that is no number
        encode, content_type = choose_encoder("")
    return web.Response(body=encode(registry), headers={"Content-Type": content_type})


async def _backlog(app: web.Application) -> Backlog | None:
    """None while the database does not answer: those figures are absent, the others are not."""
    try:
        async with asyncio.timeout(COUNTED_WITHIN_S):
            return await app[keys.READING].backlog()
    except (PersistenceError, TimeoutError) as error:
        log.warning("metrics without figures of the database", why=type(error).__name__)
        return None


async def _verified(app: web.Application) -> LastVerification | None:
    """None before the first, and while the database does not answer."""
    try:
        async with asyncio.timeout(COUNTED_WITHIN_S):
            return await app[keys.READING].of_store(last_verification)
    except (EventSourcingError, TimeoutError) as error:
        log.warning("metrics without the last verification", why=type(error).__name__)
        return None


class Figures(Collector):
    """The figures of one application at one moment."""

    def __init__(
        self,
        app: web.Application,
        backlog: Backlog | None,
        verified: LastVerification | None,
    ) -> None:
        self._app = app
        self._backlog = backlog
        self._verified = verified

    def collect(self) -> Iterable[Metric]:
        yield from self._of_writer()
        yield from self._of_read_models()
        yield from self._of_evidence()
        yield from self._of_callbacks()
        yield from self._of_messages()
        yield from self._of_feed()
        yield from self._of_webhooks()
        yield from self._of_wecom()

    def _of_writer(self) -> Iterator[Metric]:
        writer = self._app[keys.WRITER]
        done = writer.figures
        yield gauge("writer_alive", "1 while the writer's thread runs", writer.alive)
        yield gauge("writer_waiting_commands", "Commands in the queue", writer.waiting)
        yield counter("writer_commits", "Transactions that recorded something", done.commits)
        yield counter("writer_commands", "Commands that were carried out", done.commands)
        yield counter("writer_events", "Events that were recorded", done.events)
        yield counter("writer_conflicts", "Transactions that another was before", done.conflicts)
        yield counter("writer_failures", "Transactions that the store did not take", done.failures)

    def _of_read_models(self) -> Iterator[Metric]:
        position = self._app[keys.READING].progress.position
        failing = self._app[keys.RUNNER].failure is not None
        yield gauge("read_models_position", "The last event that they have taken in", position)
        yield gauge("read_models_failing", "1 while something keeps them from going on", failing)
        if self._backlog is None:
            return
        last = self._backlog.last_position
        yield gauge("last_position", "The last event recorded, by whichever process", last)
        yield gauge("read_models_lag", "Positions still to take in", max(last - position, 0))
        yield gauge("approvals_pending", "Approvals that nothing has ended", self._backlog.pending)
        frozen = self._backlog.is_frozen
        yield gauge("frozen", "1 while nothing is approved and no permit redeemed", frozen)
        yield gauge("outbox_messages", "Messages still to be sent", self._backlog.outbox)

    def _of_evidence(self) -> Iterator[Metric]:
        newest, tree = self._app[keys.NEWEST_HEAD].head, self._app[keys.TREE]
        size, covered = (newest.tree_size, newest.position) if newest else (0, 0)
        yield gauge("tree_size", "Events that the newest tree head covers", size)
        if self._backlog is not None:
            lag = max(self._backlog.last_position - covered, 0)
            yield gauge("tree_lag", "Positions that no tree head covers yet", lag)
            last = self._verified
            at, wrong = (last.at.timestamp(), last.problem is not None) if last else (0, False)
            yield gauge("audit_verified_timestamp", "When all was last computed anew", at)
            yield gauge("audit_problem", "1 if something was not as it was recorded", wrong)
        failing, unfiled = tree.problem is not None, tree.file_problem is not None
        yield gauge("tree_failing", "1 while something keeps heads from being signed", failing)
        yield gauge("tree_heads_file_failing", "1 while heads wait to be filed outside", unfiled)

    def _of_callbacks(self) -> Iterator[Metric]:
        tally, quota = self._app[keys.TALLY], self._app[keys.REPLY_QUOTA]
        yield by_end("callbacks", "Callbacks that came", tally.callbacks_by_end)
        yield counter("replies_not_kept", "Texts beyond a member's 60 a minute", quota.not_kept)

    def _of_messages(self) -> Iterator[Metric]:
        tally = self._app[keys.TALLY]
        yield by_end("messages", "Messages that were settled", tally.messages_by_end)
        if self._backlog is not None:
            nobody = self._backlog.nobody_reached
            yield counter("nobody_reached", "Approvals whose approvers none can be told", nobody)

    def _of_feed(self) -> Iterator[Metric]:
        feed, readers = self._app[keys.FEED], self._app[keys.READERS]
        yield gauge("feed_readers", "Streams of decisions that are open", readers.open)
        yield counter("feed_readers_cut_off", "Streams that were not read in time", readers.cut_off)
        reads = CounterMetricFamily(
            named("feed_reads"), "Reads of the decision feed in the database", labels=["whom"]
        )
        reads.add_metric(["all"], feed.reads_for_all)
        reads.add_metric(["one"], feed.reads_for_one)
        yield reads

    def _of_webhooks(self) -> Iterator[Metric]:
        what = "Tries to push a decision by what came of them"
        tries = CounterMetricFamily(named("webhook_tries"), what, labels=["outcome"])
        for outcome, times in self._app[keys.TALLY].webhooks_by_outcome.items():
            tries.add_metric([outcome], times)
        yield tries
        if self._backlog is not None:
            now = self._backlog.webhooks
            yield gauge("webhooks_waiting", "Decisions still to be pushed", now.waiting)
            yield gauge("webhooks_undelivered", "Decisions given up", now.undelivered)
            yield gauge("webhook_destinations_down", "Where pushing waits", now.destinations_down)

    def _of_wecom(self) -> Iterator[Metric]:
        trouble = wecom_trouble(self._app) is not None
        closed = self._app[keys.OUTSIDE].application_closed
        yield gauge("wecom_problem", "1 while /readyz says what is wrong with WeCom", trouble)
        yield gauge("agent_closed", "1 while WeCom has switched the application off", closed)
        what = "Calls of WeCom's API by the errcode of the answer"
        calls = CounterMetricFamily(named("wecom_calls"), what, labels=["errcode"])
        wecom = self._app[keys.OUTSIDE].wecom
        for errcode, times in dict(wecom.calls if wecom else {}).items():
            calls.add_metric([errcode], times)
        yield calls


def named(name: str) -> str:
    return f"fta_approval_{name}"


def gauge(name: str, meaning: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(named(name), meaning, value)


def counter(name: str, meaning: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(named(name), meaning, value)


def by_end(name: str, meaning: str, counted: Mapping[tuple[str, str], int]) -> CounterMetricFamily:
    family = CounterMetricFamily(named(name), meaning, labels=["kind", "outcome"])
    for labels, times in counted.items():
        family.add_metric(labels, times)
    return family

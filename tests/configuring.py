"""Changing the settings of a running service as another process of it would."""

from contextlib import closing
from typing import Any

from adapters.store.event_store import open_event_store
from domain.commands import ChangeSettings
from domain.configuration import CONFIGURATION_STREAM, Configuration, Via
from tests import confidential
from tests.service import NOON, Service
from web import keys

BY = "shell:root"


async def set_here(service: Service, by: str = BY, **texts: str | None) -> None:
    """In the service's own process: in force when this returns."""
    in_force = service.app[keys.IN_FORCE]
    confidential.note_settings({name: text for name, text in texts.items() if text})
    await service.app[keys.WRITER].execute(
        ChangeSettings(
            at=service.clock(),
            by=by,
            via=Via.SHELL,
            revision=in_force.configuration.revision,
            change=in_force.secrets.change_of(texts),
        )
    )
    await in_force.refresh()


def set_elsewhere(service: Service, **texts: str | None) -> None:
    """As another process does it, of which this one hears by the store alone."""
    in_force = service.app[keys.IN_FORCE]
    with closing(open_event_store(in_force.given.database)) as store:
        configuration = store.load(Configuration, CONFIGURATION_STREAM) or Configuration()
        configuration.change(
            in_force.secrets.change_of(texts), configuration.revision, BY, Via.SHELL, NOON
        )
        store.save(configuration.collect_events())


async def changes(service: Service) -> list[Any]:
    """Every change there was."""
    stored = await service.app[keys.READING].events_of(CONFIGURATION_STREAM)
    return [event for _, event in stored if isinstance(event, Configuration.Changed)]

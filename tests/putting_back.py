"""Backup and restore around a service of the tests, as an administrator does it."""

from dataclasses import dataclass
from pathlib import Path

from tests.service import Service
from web import keys
from web.backup import back_up
from web.restoring import restore
from web.settings import Settings


@dataclass
class Shelf:
    """Where copies lie, and what the commands said."""

    folder: Path
    said: list[str]

    def back_up(self, service: Service, name: str = "copy.db") -> Path:
        copy = self.folder / name
        back_up(settings_of(service), copy, self.said.append)
        return copy

    async def restore(self, service: Service, copy: Path) -> None:
        """Stop the service, put the copy in the place of its store."""
        await service.stop()
        at = service.clock()
        restore(settings_of(service), copy, at, self.said.append, replace=True)


def settings_of(service: Service) -> Settings:
    """Those of the environment."""
    given: Settings = service.app[keys.IN_FORCE].given
    return given


def database_of(service: Service) -> Path:
    return Path(settings_of(service).database.removeprefix("sqlite:///"))


def shelf(folder: Path) -> Shelf:
    made = folder / "shelf"
    made.mkdir(exist_ok=True)
    return Shelf(made, [])

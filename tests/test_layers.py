"""Who may import whom. A new arrow is a decision record, not a quiet edit."""

import ast
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = {"domain", "adapters", "projections", "web"}
MODULES = sorted(path for package in OURS for path in (ROOT / package).rglob("*.py"))

STANDARD = set(sys.stdlib_module_names)
MAY = {
    "domain": STANDARD - {"os", "logging", "sqlite3", "time"} | {"domain", "msgspec"},
    "projections": STANDARD - {"sqlite3"}
    | {"domain", "projections", "eventsourcing", "msgspec", "structlog"},
}
NEVER = {"adapters": {"projections", "web"}}
CLOCKS = {"now", "utcnow", "today"}


def imports(tree: ast.AST) -> Iterator[str]:
    """Dotted names of everything imported anywhere in a module; relative ones begin with a dot."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from (f"{module}.{name.name}" for name in node.names)


def broken_rules(module: str, source: str) -> list[str]:
    """What a module does that its package may not."""
    tree, package = ast.parse(source), module.split(".")[0]
    names = set(imports(tree))
    tops = {name.split(".")[0] or "relatively" for name in names}
    wrong = tops - MAY.get(package, tops) | tops & (NEVER.get(package, set()) | {"relatively"})
    used = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    if package == "adapters" and not module.startswith("adapters.simulator"):
        wrong |= {name for name in names | used if f"{name}.".startswith("aiohttp.web.")}
    if package == "domain":
        wrong |= {name for name in used if name.split(".")[-1] in CLOCKS}
    return sorted(wrong)


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@pytest.mark.parametrize("path", MODULES, ids=module_name)
def test_every_module_keeps_the_rules_of_its_package(path: Path) -> None:
    assert broken_rules(module_name(path), path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("module", "source", "wrong"),
    [
        ("domain.approval", "import os.path", "os"),
        ("domain.approval", "import aiohttp", "aiohttp"),
        ("domain.approval", "from adapters.store import mapper", "adapters"),
        ("domain.approval", "def late():\n    from sqlite3 import connect", "sqlite3"),
        ("domain.approval", "from domain.errors import Refusal as R\nimport logging", "logging"),
        ("domain.approval", "at = datetime.now(UTC)", "datetime.now"),
        (
            "domain.approval",
            "field(default_factory=datetime.datetime.utcnow)",
            "datetime.datetime.utcnow",
        ),
        ("domain.approval", "from time import time", "time"),
        ("domain.approval", "from .errors import Refusal", "relatively"),
        ("web.app", "from . import errors", "relatively"),
        ("projections.todo", "import sqlite3", "sqlite3"),
        ("projections.todo", "from web.app import main", "web"),
        ("adapters.wecom.client", "from projections.outbox import Outbox", "projections"),
        ("adapters.wecom.client", "from aiohttp import web", "aiohttp.web"),
        ("adapters.wecom.client", "import aiohttp.web", "aiohttp.web"),
        ("adapters.wecom.client", "import aiohttp\naiohttp.web.Response", "aiohttp.web"),
    ],
)
def test_a_broken_rule_is_noticed(module: str, source: str, wrong: str) -> None:
    assert wrong in broken_rules(module, source)


# Folders for the eye: what stands in them belongs to the package above, as its own modules do.
CHAPTERS = {"web.audit": "web"}


def test_no_package_imports_itself_by_way_of_another() -> None:
    arrows: dict[str, set[str]] = {}
    for path in MODULES:
        package = package_of(".".join(path.relative_to(ROOT).parent.parts))
        for name in imports(ast.parse(path.read_text(encoding="utf-8"))):
            imported = package_of(name)
            if imported not in (None, package):
                arrows.setdefault(str(package), set()).add(str(imported))
    TopologicalSorter(arrows).prepare()  # raises CycleError, naming the cycle


def package_of(name: str) -> str | None:
    """The package, by its folder, that a dotted name stands in; None for others' code."""
    parts = name.split(".")
    if parts[0] not in OURS:
        return None
    folders = [parts[:n] for n in range(len(parts), 0, -1) if (ROOT / Path(*parts[:n])).is_dir()]
    folder = ".".join(folders[0])
    return CHAPTERS.get(folder, folder)

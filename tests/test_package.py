"""The wheel: everything that serving needs is inside, and it serves from another folder."""

import asyncio
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import aiohttp
import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("domain", "adapters", "projections", "web")
WITHIN_S = 60.0


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built as the release builds it; nothing is downloaded."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=WITHIN_S,
    )
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    The `bin` of a fresh environment that has the wheel and, behind it, our dependencies.

    They come from the environment of the tests by a path file. That one's own path files are not
    read there, so its editable copy of this project is out of sight.
    """
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, symlinks=True, with_pip=False)
    paths = sysconfig.get_paths(vars={"base": str(folder), "platbase": str(folder)})
    site_packages, scripts = Path(paths["purelib"]), Path(paths["scripts"])
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site_packages)
    (site_packages / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    script = scripts / "fta-approval"
    script.write_text(f"#!{scripts / 'python'}\n{_console_script(site_packages)}")
    script.chmod(0o755)
    return scripts


def _console_script(site_packages: Path) -> str:
    """What an installer writes for the entry point that the wheel declares."""
    (declared,) = site_packages.glob("fta_approval-*.dist-info/entry_points.txt")
    section, entry = declared.read_text().split("\n")[:2]
    assert (section, entry) == ("[console_scripts]", "fta-approval = web.__main__:main")
    return "import sys\nfrom web.__main__ import main\nsys.exit(main())\n"


def test_the_wheel_holds_every_file_of_the_four_packages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    written = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }
    assert inside == written


def test_the_wheel_holds_templates_styles_types_and_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = archive.namelist()
    for suffix in (
        "web/templates/todo.html",
        "web/templates/detail.html",
        "web/static/style.css",
        "web/py.typed",
        "adapters/simulator/templates/phones.html",
        "adapters/simulator/static/simulator.css",
        "licenses/LICENSE",
    ):
        assert any(name.endswith(suffix) for name in inside), suffix


def test_the_installed_code_is_that_of_the_wheel(installed: Path, tmp_path: Path) -> None:
    for package in PACKAGES:
        ended = subprocess.run(
            [installed / "python", "-c", f"import {package}; print({package}.__file__)"],
            cwd=tmp_path,
            check=True,
            capture_output=True,
            text=True,
        )
        assert Path(ended.stdout.strip()).is_relative_to(installed.parent), ended.stdout


async def test_the_installed_command_serves_from_another_folder(
    installed: Path, tmp_path: Path
) -> None:
    process = await asyncio.create_subprocess_exec(
        installed / "fta-approval",
        "serve",
        "--listen",
        "127.0.0.1:0",
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"]},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(WITHIN_S):
            base = (await process.stdout.readline()).decode().removeprefix("listening on ").strip()
            async with aiohttp.ClientSession() as http:
                await _serves(http, base)
        process.terminate()
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()
    assert (tmp_path / "var" / "fta-approval.db").exists()


async def _serves(http: aiohttp.ClientSession, base: str) -> None:
    """Health, a page made from a template, and the style that it names."""
    host = base.removesuffix("/o/bk_fta_solutions")
    async with http.get(f"{host}/healthz") as response:
        assert (response.status, await response.json()) == (200, {"status": "ok"})
    async with http.get(f"{base}/wechat/nothing/") as response:
        page = await response.text()
        assert (response.status, response.content_type) == (404, "text/html")
    assert "没有找到" in page
    (style,) = re.findall(r'href="([^"]+\.css[^"]*)"', page)
    async with http.get(host + style) as response:
        assert (response.status, response.content_type) == (200, "text/css")
        assert len(await response.read()) > 100

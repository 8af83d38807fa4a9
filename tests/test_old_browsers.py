"""What `make check` has against style sheets and scripts that are too new, and that it runs."""

from pathlib import Path

import pytest

from tests.old_browsers import main, too_new

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".css", ".a { color: red; .b { color: blue } }"),
        (".css", "@media print { .a { &:hover { color: red } } }"),
        (".css", ".a:has(.b) { color: red }"),
        (".css", ".a { height: 100dvh }"),
        (".css", "@container (min-width: 1px) { .a { color: red } }"),
        (".css", "@media (width >= 600px) { .a { color: red } }"),
        (".css", ".a { color: color-mix(in srgb, red, blue) }"),
        (".css", ".a { grid-template-columns: subgrid }"),
        (".css", ".a { translate: 1px }"),
        (".css", ".a { overflow-wrap: anywhere }"),
        (".css", ".a { appearance: none }"),
        (".js", "a ??= 1"),
        (".js", "a.replaceAll('b', 'c')"),
        (".js", "a.at(-1)"),
        (".js", "Object.hasOwn(a, 'b')"),
        (".js", "/(?<=a)b/.test(c)"),
        (".js", "class A { static { b() } }"),
        (".js", "structuredClone(a)"),
    ],
)
def test_what_is_too_new_is_noticed(suffix: str, text: str, tmp_path: Path) -> None:
    (tmp_path / f"bad{suffix}").write_text(text)
    assert len(too_new(suffix, text)) == 1
    assert main([str(tmp_path)]) == 1


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".css", "@media print { .a { color: red } .b { color: blue } } .c { color: red }"),
        (".css", "@supports (display: grid) { @media print { .a { color: red } } }"),
        (".css", "/* no :has(), no dvh */ .a { transform: scale(2); height: 10vh; gap: 1px }"),
        (".css", ".a { overflow-wrap: anywhere; word-break: break-word }"),
        (".js", "const a = b?.c ?? 1; a.at; d.reply_1_2; `${e}`.padStart(2)"),
    ],
)
def test_what_these_browsers_know_is_not(suffix: str, text: str) -> None:
    assert too_new(suffix, text) == []


def test_nothing_of_ours_is_too_new_and_make_check_asks() -> None:
    folders = ["web/static", "adapters/simulator/static"]
    assert f"-m tests.old_browsers {' '.join(folders)}" in (ROOT / "Makefile").read_text()
    assert main([str(ROOT / folder) for folder in folders]) == 0

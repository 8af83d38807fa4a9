"""
Nothing in our style sheets and scripts is newer than Chrome 103 and Safari 15.0.

Those are WeCom for Windows and phones that are not new. A list of what browsers learned later, and
no parser of everything: what it names is refused wherever it stands.
Source of the versions: caniuse.com, developer.mozilla.org.

    python -m tests.old_browsers FOLDER ...
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
TOO_NEW = {
    ".css": {
        "nesting": r"&|\{[^{}@]*\{",
        ":has()": r":has\(",
        "dvh, svh, lvh": r"\d[dsl]v[hwib]\b|\d[dsl]v(min|max)\b",
        "container queries": r"@container\b|\bcontainer(-type|-name)?\s*:|\dcq[whib]\b",
        "cascade layers": r"@layer\b",
        "@property": r"@property\b",
        "@scope": r"@scope\b",
        "@starting-style": r"@starting-style\b",
        "media ranges": r"@media[^{]*[<>]",
        "new colours": r"\b(color-mix|oklch|oklab|lch|lab|color|light-dark)\(",
        "subgrid": r"\bsubgrid\b",
        "text-wrap": r"\btext-wrap\s*:",
        "accent-color": r"\baccent-color\s*:",
        "transforms by themselves": r"[;{\s](translate|rotate|scale)\s*:",
        "overflow: clip": r"\boverflow(-[xy])?\s*:\s*clip",
        "new pseudo-classes": r":(popover-open|modal|user-invalid|user-valid)\b",
    },
    ".js": {
        "logical assignment": r"\?\?=|\|\|=|&&=",
        "replaceAll": r"\.replaceAll\(",
        "at": r"\.at\(",
        "hasOwn": r"\bObject\.hasOwn\(",
        "structuredClone": r"\bstructuredClone\(",
        "findLast": r"\.findLast(Index)?\(",
        "arrays that are copied": r"\.(toSorted|toReversed|toSpliced)\(",
        "group by": r"\.groupBy\(",
        "lookbehind": r"\(\?<[=!]",
        "static blocks": r"\bstatic\s*\{",
        "private fields": r"\bthis\.#",
        "AbortSignal.timeout": r"\bAbortSignal\.(timeout|any)\(",
        "withResolvers": r"\.withResolvers\(",
        "numeric separators": r"\b\d+_\d",
        "dialogs, popovers": r"\.(showModal|showPopover)\(",
    },
}
# Where a browser does not know it, this has to stand in the same rule.
INSTEAD = {
    ("overflow-wrap", "anywhere"): ("word-break", "break-word"),
    ("appearance", "none"): ("-webkit-appearance", "none"),
}
# Their blocks hold rules, and are no nesting.
HOLDS_RULES = re.compile(r"@(media|supports|keyframes|container|layer)[^{]*\{")
RULE = re.compile(r"\{([^{}]*)\}")


def too_new(suffix: str, text: str) -> list[str]:
    """What of it a browser of that age does not know."""
    text = COMMENT.sub("", text)
    flat = HOLDS_RULES.sub("", text)
    found = [
        name
        for name, pattern in TOO_NEW[suffix].items()
        if re.search(pattern, flat if name == "nesting" else text)
    ]
    return found + (list(_without_instead(text)) if suffix == ".css" else [])


def _without_instead(text: str) -> Iterator[str]:
    for rule in RULE.findall(text):
        said = dict.fromkeys(
            tuple(part.strip() for part in line.split(":", 1))
            for line in rule.split(";")
            if ":" in line
        )
        for new, old in INSTEAD.items():
            if new in said and old not in said:
                yield f"{new[0]}: {new[1]} without {old[0]}: {old[1]}"


def main(folders: list[str]) -> int:
    """Say what is too new, a line each; 1 if anything is."""
    found = [
        f"{path}: {what}"
        for folder in folders
        for path in sorted(Path(folder).rglob("*"))
        if path.suffix in TOO_NEW
        for what in too_new(path.suffix, path.read_text(encoding="utf-8"))
    ]
    for line in found:
        sys.stderr.write(f"newer than Chrome 103 and Safari 15: {line}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

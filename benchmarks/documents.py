"""Tables in the README and in ``docs/`` come from recorded results, between comments that name them."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def documents() -> list[Path]:
    """Return both READMEs and the pages of ``docs/``, in the order in which they are to be read."""
    return [ROOT / "README.md", ROOT / "README.zh-TW.md", *sorted((ROOT / "docs").glob("*.md"))]


def write_tables(tables: dict[str, str]) -> None:
    """Write tables to where the documents have a place for them.

    Args:
        tables: Markdown by name; a table stands between ``<!-- NAME -->`` and ``<!-- /NAME -->``.

    Raises:
        ValueError: If no document has a place for one.
    """
    missing = set(tables)
    for path in documents():
        before = text = path.read_text()
        for name, table in tables.items():
            if place := _place(name).search(text):
                missing.discard(name)
                text = text[: place.start(1)] + f"{table}\n" + text[place.end(1) :]
        if text != before:
            path.write_text(text)
            print(f"{path.relative_to(ROOT)}: tables written")
    if missing:
        raise ValueError(f"no document has <!-- {missing.pop()} -->")


def shown(name: str) -> str:
    """Return a table as a document shows it.

    Raises:
        ValueError: If no document has a place for it.
    """
    for path in documents():
        if place := _place(name).search(path.read_text()):
            return place[1].removesuffix("\n")
    raise ValueError(f"no document has <!-- {name} -->")


def _place(name: str) -> re.Pattern[str]:
    return re.compile(rf"<!-- {name} -->\n(.*?)<!-- /{name} -->", re.DOTALL)

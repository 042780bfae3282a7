"""Tables in the README come from recorded results, between comments that name them."""

import re
from pathlib import Path

README = Path("README.md")


def replace_table(name: str, table: str, readme: str) -> str:
    """Return the README's text with the named table replaced.

    Args:
        name: The table's name; it stands between ``<!-- NAME -->`` and ``<!-- /NAME -->``.
        table: The new table in Markdown.
        readme: The README's text.

    Raises:
        ValueError: If the README has no place for it.
    """
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    if not pattern.search(readme):
        raise ValueError(f"{README} has no <!-- {name} --> ... <!-- /{name} -->")
    return pattern.sub(lambda match: f"{match[1]}{table}\n{match[2]}", readme)

"""Names of files, folders and classes that do something to a terminal, a spreadsheet, a shell or a program."""

import os

from hypothesis import strategies as st

PIECES = [
    *(
        "\x1b]0;owned\x07",
        "\x1b[2J",
        "\x9b2J",
        "\r",
        "\n",
        "\t",
        "\x7f",
        "\u202e",
        "\u2028",
        "\u200b",
        "\u0301",
        "\ufeff",
    ),
    *("=cmd|' -C calc'!A0", "=", "+1", "-2", "-2+3", "@x", "\uff1d1", "\uff0b1", '"', "'", ",", ";", "\t=1"),
    *(
        "\udcff",
        "\udc80x",
        "%s",
        "{}",
        "\\",
        "[a",
        "[!]",
        "*",
        "**",
        "?",
        "~",
        "$HOME",
        "`id`",
        " ",
        ".",
        "-",
        "--help",
    ),
    *("--sheet=x", "a" * 240, "\xe9" * 100, "\u6f22" * 60, "CON", "7", "best", "class", "<b>", "&amp;"),
]
LONGEST = 250  # bytes that most file systems let a name have
text = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), min_size=1, max_size=3).map("".join)


def is_name(name: str) -> bool:
    """Say whether a file can have a name."""
    try:
        return 0 < len(os.fsencode(name)) <= LONGEST and not {"/", "\0"} & {*name} and name not in (".", "..")
    except UnicodeEncodeError:  # half a character
        return False


file_names = text.filter(is_name)
picture_names = text.map(lambda name: f"{name}.png").filter(is_name)
class_names = st.one_of(text, text.filter(str.isprintable), st.sampled_from(["\ud800", "x" * 100_000, "", "\0", "7"]))

"""Find the pictures that the words after ``--images`` name: files, folders and patterns."""

import os
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from glob import has_magic
from pathlib import Path

from src.common.errors import UsageError
from src.common.files import is_folder
from src.common.pictures import NO_PICTURE, PictureError, identify, is_called_picture, opened


def find_pictures(words: str) -> list[Path]:
    """Return the files that a word after ``--images`` names, sorted; UsageError if there are none."""
    path = Path(words)
    if is_folder(path):
        paths = [file for file in matches(path, ["**"]) if is_folder(file) or is_picture(file)]
        problem = "no pictures in this folder"
    elif has_magic(words) and not os.path.lexists(path):
        paths = list(matches(Path(path.anchor), path.relative_to(path.anchor).parts))
        problem = "this pattern matches no file"
    else:
        paths = [path] if path.exists() else []
        problem = "no such file or folder"
    if not paths:
        raise UsageError(f"--images {words}: {problem}; give pictures, folders of them or patterns.")
    return sorted(paths)


def matches(folder: Path, parts: Sequence[str]) -> Iterator[Path]:
    """Yield the files below a folder that a pattern's parts match, except hidden files, and unreadable folders.

    ``**`` follows no link to a folder, because the link may lead back here.
    """
    name, *rest = parts
    unreadable: list[OSError] = []
    if name == "**":
        for place, folders, _ in os.walk(folder, onerror=unreadable.append):
            folders[:] = [name for name in folders if not name.startswith(".")]
            yield from matches(Path(place), rest or ["*"])
        yield from (Path(error.filename) for error in unreadable)
        return
    names = [name]
    if has_magic(name):
        try:
            names = [entry for entry in os.listdir(folder) if fnmatch(entry, name)]  # noqa: PTH208
        except OSError:
            yield folder
    for path in (folder / entry for entry in names if not entry.startswith(".") or name.startswith(".")):
        if rest and is_folder(path):
            yield from matches(path, rest)
        elif not rest and os.path.lexists(path) and not is_folder(path):
            yield path


def is_picture(file: Path) -> bool:
    """Say whether a file in a folder is a picture, by its ending or, without an ending, by its content."""
    if file.suffix:
        return is_called_picture(file)
    try:
        with opened(file) as content:
            identify(content)
    except PictureError as error:
        return str(error) != NO_PICTURE
    return True

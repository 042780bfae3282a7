"""YAML of users, read as jsonargparse reads it, but unable to hang or crash the program."""

from typing import Any

import yaml
from jsonargparse import get_loader

# limits of a config: number of values, depth of nesting, characters of a value
LARGEST_CONFIG, DEEPEST_CONFIG, LONGEST_VALUE = 10_000, 50, 3_500

read_yaml = get_loader("yaml")
YamlLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def load_yaml(text: str) -> Any:
    """Read YAML as jsonargparse does; YAMLError for every fault in it."""
    refuse_bombs(text)
    try:
        return read_yaml(text)
    except (ValueError, TypeError, LookupError, AttributeError) as error:  # PyYAML at 0b_, !!bool maybe, !!timestamp x
        raise yaml.YAMLError(f"a value does not fit the way it is written: {error}") from error


def refuse_bombs(text: str) -> None:
    """Refuse YAML with too many values, counted with aliases expanded, or with values that are too long.

    PyYAML crashes on deeply nested lists, a few lines of aliases can stand for an endless list or for more values than
    memory holds, and Python does not print numbers that are too long.
    """
    opened: list[tuple[str | None, int]] = [(None, 0)]  # lists and mappings: the anchor, and the values before it
    sizes: dict[str | None, int] = {}  # by anchor, of closed lists; an alias inside its own list is endless
    values = 0
    for event in yaml.parse(text, Loader=YamlLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, values))
            values += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            sizes[anchor] = values - before
        elif isinstance(event, yaml.ScalarEvent):
            values += 1
            sizes[event.anchor] = 1
            if len(event.value) > LONGEST_VALUE or "\0" in event.value:  # no file name may have it
                raise yaml.YAMLError("a value is too long, or has a null character")
        elif isinstance(event, yaml.AliasEvent):
            values += sizes.get(event.anchor, LARGEST_CONFIG)
        if values >= LARGEST_CONFIG or len(opened) > DEEPEST_CONFIG:
            raise yaml.YAMLError("it has too many values, or some too deep in others")

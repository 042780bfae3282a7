"""Damage at random, to bytes and to nested values."""

import contextlib
import math
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st


@st.composite
def torn(draw: st.DrawFn, whole: bytes) -> bytes:
    """Bytes with bits flipped and parts cut off, cut out, repeated or overwritten."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        if not content:
            break
        here = draw(st.integers(0, len(content) - 1))
        there = draw(st.integers(here, min(here + 64, len(content))))
        match draw(st.sampled_from(["flip", "cut off", "cut out", "repeat", "overwrite"])):
            case "flip":
                content[here] ^= 1 << draw(st.integers(0, 7))
            case "cut off":
                del content[here:]
            case "cut out":
                del content[here:there]
            case "repeat":
                content[here:here] = content[here:there]
            case _:
                content[here:there] = draw(st.binary(max_size=16))
    return bytes(content)


def places(whole: Any) -> list[tuple[Any, Any]]:
    """Find every value of nested dicts and lists, as its container and its key or position there."""
    found, waiting, seen = [], [whole], set()
    while waiting:
        part = waiting.pop()
        keys = list(part) if isinstance(part, dict) else range(len(part)) if isinstance(part, list) else ()
        if id(part) not in seen:  # it may hold itself
            found += [(part, key) for key in keys]
            waiting += [part[key] for key in keys]
        seen.add(id(part))
    return found


@st.composite
def changed(draw: st.DrawFn, build: Callable[[], Any], values: st.SearchStrategy[Any]) -> Any:
    """Nested dicts and lists with some values replaced, dropped, added, or taken from elsewhere in them."""
    content = build()
    for _ in range(draw(st.integers(1, 3))):
        spots = places(content)
        if not spots:
            break
        container, key = spots[draw(st.integers(0, len(spots) - 1))]
        match draw(st.sampled_from(["replace", "replace", "drop", "add", "take"])):
            case "replace":
                container[key] = draw(values)
            case "drop":
                del container[key]
            case "add" if isinstance(container, dict):
                container[draw(names)] = draw(values)
            case "add":
                container.append(draw(values))
            case _:
                other, place = spots[draw(st.integers(0, len(spots) - 1))]
                with contextlib.suppress(LookupError):  # dropped before
                    container[key] = other[place]
    return content


names = st.one_of(st.text(max_size=8), st.sampled_from(["", "__class__", "lr", "reset", "state", "a.b", "class_path"]))
numbers = st.one_of(
    st.integers(-3, 3),
    st.integers(0, 30),
    st.integers(0, 2**53),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from([2**31, 2**53, 2**63, -(2**63) - 1, 10**30, 1e308, math.nan, math.inf, -math.inf]),
)
words = st.one_of(
    st.text(max_size=12), st.sampled_from(["", "../../x", "unit", "last", "\x1b[2J", "a\nb", "x" * 5_000])
)
plain_values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, words),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
    max_leaves=5,
)

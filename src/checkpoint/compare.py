"""How a value from a file is unlike what it must be like."""

import reprlib
from collections.abc import Iterator
from math import isfinite
from types import UnionType
from typing import Any

import torch
from torch import Tensor

LARGEST_NUMBER = 1 << 53
DEEPEST = 50


def differences(name: str, found: Any, expected: Any) -> Iterator[str]:
    """Yield how a value is unlike the expected one; numbers may be others, but not below 0."""
    match expected:
        case dict() if isinstance(found, dict):
            for key in expected:
                if key not in found:
                    yield f"its {name}.{key} is missing"
            for key, value in found.items():
                if key not in expected:
                    yield f"it has a {name}.{reprlib.repr(key)}, which fits nothing here"
                yield from differences(f"{name}.{key}", value, expected[key])
        case list() | tuple() if isinstance(found, list | tuple) and len(found) == len(expected):
            for number, value in enumerate(found):
                yield from differences(f"{name}.{number}", value, expected[number])
        case Tensor():
            yield from _differences_of_tensors(name, found, expected)
        case type() | UnionType():
            if not isinstance(found, expected):
                yield f"its {name} is of type {type(found).__name__}"
        case int() | float() if not isinstance(expected, bool):
            if not (is_number(found) and found >= 0) or (isinstance(expected, int) and not isinstance(found, int)):
                yield f"its {name} is {reprlib.repr(found)}"
        case _:
            if type(found) is not type(expected) or found != expected:
                yield f"its {name} is {reprlib.repr(found)} instead of {reprlib.repr(expected)}"


def _differences_of_tensors(name: str, found: Any, expected: Tensor) -> Iterator[str]:
    layouts = [torch.contiguous_format, *([torch.channels_last] if expected.dim() == 4 else [])]
    if type(found) is not Tensor or found.layout != torch.strided or found.device.type != "cpu" or found.requires_grad:
        yield f"its {name} is no plain tensor"
    for what in ("shape", "dtype"):
        is_, should = getattr(found, what), getattr(expected, what)
        if is_ != should:
            is_, should = (tuple(each) if what == "shape" else each for each in (is_, should))
            yield f"its {name} has the {what} {is_} instead of {should}"
    if not any(found.is_contiguous(memory_format=layout) for layout in layouts):
        yield f"its {name} has values that share their memory"
    if not found.isfinite().all():
        yield f"its {name} has values that are not finite"


def is_deep(content: Any) -> bool:
    """Say whether copying and comparing would run into Python's limit."""
    waiting, seen = [(content, 0)], set()
    while waiting:
        part, depth = waiting.pop()
        if depth > DEEPEST:
            return True
        if id(part) not in seen:  # it may hold itself
            inner = part.values() if isinstance(part, dict) else part if isinstance(part, list | tuple) else ()
            waiting += [(each, depth + 1) for each in inner]
        seen.add(id(part))
    return False


def is_number(value: Any) -> bool:
    """Say whether a value is a finite number, and a whole one not too large to be exact as a float."""
    return (type(value) is int and abs(value) <= LARGEST_NUMBER) or (type(value) is float and isfinite(value))

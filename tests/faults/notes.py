"""Notes of run folders and of data: damaged, and with values of other types."""

import contextlib
import json
from typing import Any

from hypothesis import strategies as st

from tests.faults.damage import changed, plain_values, torn


def dumped(value: Any) -> bytes:
    """Return a value as JSON, or half of some where it holds itself."""
    with contextlib.suppress(ValueError):
        return json.dumps(value, default=str).encode()
    return b'{"epochs": ['


result = {"epochs": [{"epoch": 1, "val/acc": 0.5}], "data": {"sha256": {"a": "b"}}, "best": None}
job = {"command": "fit", "torchrun": "", "slurm": "", "since": 1.0}
objects = st.sampled_from([result, job, {"token": "x"}, {"CSVLogger": [0]}, {}])
whole_notes = objects.map(json.dumps).map(str.encode)
notes = st.one_of(
    whole_notes,
    whole_notes.flatmap(torn),
    objects.flatmap(lambda content: changed(lambda: json.loads(json.dumps(content)), plain_values)).map(dumped),
    st.integers(1, 200_000).map(lambda depth: b"[" * depth),
    st.integers(1, 10_000).map(lambda digits: b"9" * digits),
    st.binary(max_size=80),
)

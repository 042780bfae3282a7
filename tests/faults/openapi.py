"""Requests after a server's OpenAPI description: right bodies and wrong ones, under any Content-Type."""

from collections import Counter
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st


def post_generated(address: str, count: int) -> Counter[int]:
    """Send bodies after the OpenAPI description, half of them under any Content-Type, and count the answers."""
    import schemathesis  # which only a benchmark needs

    statuses: Counter[int] = Counter()
    operation = schemathesis.openapi.from_url(f"{address}openapi.json")["/predict"]["POST"]
    kinds = st.none() | st.text(st.characters(min_codepoint=33, max_codepoint=126))

    # no end at the first failure, and no second try of it: every request counts
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), kind=kinds)
    def send(case: Any, kind: str | None) -> None:
        headers = {} if kind is None else {"Content-Type": kind}
        statuses[case.call(base_url=address, headers=headers).status_code] += 1

    send()
    return statuses

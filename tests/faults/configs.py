"""Configs: damaged, strange values at the places of real ones, and YAML that would run code or grow without end."""

from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from tests.faults.damage import changed, plain_values, torn, words

CONFIG = Path(__file__).parents[2] / "configs" / "mlp.yaml"
SNIPPETS = [
    "!!python/object/apply:os.mkdir [executed]",
    "!!python/object/new:os.mkdir [executed]",
    "!!python/name:os.system",
    "!!python/tuple [8]",
    "!!binary aGVsbG8=",
    "!!binary '%'",
    "!!timestamp x",
    "!!timestamp 2020-99-99",
    "2020-01-01",
    "!!int x",
    "!!float x",
    "!!bool maybe",
    "!!null x",
    "!!set {a, b}",
    "!!omap [a: 1]",
    "!!pairs [a: 1]",
    "!!str [a]",
    "!!map [a]",
    "!unknown 3",
    "0x_",
    "0b_",
    "0x" + "f" * 5_000,
    "1" * 5_000,
    "1:30:00",
    "1e999999",
    ".nan",
    ".inf",
    "&a [*a]",
    "&a {a: *a}",
    "*nowhere",
    "[" * 500 + "]" * 500,
    "[" * 50_000,
    "{a: " * 3_000 + "}" * 3_000,
    "[&a [x, x], &b [*a, *a], &c [*b, *b], *c]",
    "{<<: [{a: 1}, {b: 2}]}",
    "{[1]: 2}",
    "{? {a: 1} : 2}",
    "|\n    text\n",
    "'\\x00'",
    '"\\ud800"',
    '"\\0"',
    "\t",
    "%TAG ! x",
    "{class_path: os.mkdir, init_args: {path: executed}}",
    "[{class_path: os.mkdir, init_args: {path: executed}}]",
    "[{class_path: EarlyStopping, init_args: {monitor: [1]}}]",
    "[EarlyStopping, {class_path: Timer}]",
    "{class_path: nowhere.Class}",
    "{class_path: 3}",
    "[8, 8]",
    "[0.1, 0.2]",
]


snippets = st.integers(0, len(SNIPPETS) - 1).map(SNIPPETS.__getitem__)


def laughs(depth: int) -> str:
    """Return YAML of a few lines whose aliases stand for 10 ** depth values."""
    lines = ["a0: &a0 [" + ", ".join(["x"] * 10) + "]"]
    lines += [f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]" for level in range(1, depth)]
    return "\n".join([*lines, "model:", f"  hidden_units: *a{depth - 1}", ""])


def configs(config: dict[str, Any]) -> st.SearchStrategy[bytes | str]:
    """Configs as bytes: damaged ones, strange values at the places of real ones, anything at all; and flags as text.

    Args:
        config: A complete config.
    """
    whole = yaml.safe_dump(config)
    parts = [(part, name) for part, settings_ in config.items() if isinstance(settings_, dict) for name in settings_]
    strange = st.builds(
        lambda place, value: f"{place[0]}:\n  {place[1]}: {value}\n".encode(errors="surrogatepass"),
        st.sampled_from(parts),
        snippets,
    )
    flags = st.builds(
        lambda place, value: f"--{place[0]}.{place[1]}={value}", st.sampled_from(parts), st.one_of(snippets, words)
    )
    build = lambda: yaml.safe_load(whole)  # noqa: E731
    return st.one_of(
        flags,
        strange,
        strange.flatmap(torn),
        changed(build, plain_values).map(lambda value: yaml.safe_dump(value, allow_unicode=True).encode()),
        torn(whole.encode()),
        torn(CONFIG.read_bytes()),
        snippets.map(lambda text: text.encode()),
        st.integers(1, 12).map(lambda depth: laughs(depth).encode()),
        st.text(max_size=60).map(lambda text: text.encode()),
        st.binary(max_size=60),
    )

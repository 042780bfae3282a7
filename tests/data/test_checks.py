import hashlib
import json
from pathlib import Path

import pytest

from src.data import checks
from src.data.checks import sha256


def test_the_hash_of_a_large_file_is_read_once_until_the_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "CACHED_FROM_BYTES", 5)
    monkeypatch.setattr(checks, "DEFAULT_ROOT", tmp_path / "cache")
    reads = []
    digest = checks.digest
    monkeypatch.setattr(checks, "digest", lambda path: reads.append(path) or digest(path))
    path = tmp_path / "large"

    path.write_bytes(b"content")
    assert sha256(path) == sha256(path) == hashlib.sha256(b"content").hexdigest()
    assert len(reads) == 1
    path.write_bytes(b"changed!")
    assert sha256(path) == hashlib.sha256(b"changed!").hexdigest()


@pytest.mark.parametrize("cache", [b"damaged", b"[]", b"7", b"\xff"])
def test_a_damaged_cache_of_hashes_costs_a_second_read_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: bytes
) -> None:
    monkeypatch.setattr(checks, "CACHED_FROM_BYTES", 5)
    monkeypatch.setattr(checks, "DEFAULT_ROOT", tmp_path)
    (tmp_path / "sha256.json").write_bytes(cache)
    (tmp_path / "large").write_bytes(b"content")

    assert sha256(tmp_path / "large") == hashlib.sha256(b"content").hexdigest()
    assert list(json.loads((tmp_path / "sha256.json").read_bytes()).values()) == [sha256(tmp_path / "large")]

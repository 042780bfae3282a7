"""Tables, figures and links of the documents are those of the recorded results and of the repository."""

import json
import re
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks import accuracy, chaos, fuzz
from benchmarks.documents import documents, shown
from tests.conftest import REPOSITORY

STUDIES = (
    *("accuracy", "chaos", "data", "devices", "digits", "fuzz", "generalization", "gpu"),
    *("page_file", "parity", "serve", "speed", "sweep", "threads", "time_to_accuracy"),
)


@pytest.mark.parametrize("name", [f"benchmarks.{study}" for study in STUDIES])
def test_tables_are_made_from_the_recorded_results(name: str) -> None:
    study = import_module(name)
    tables = study.tables(json.loads(study.RESULTS.read_text()))

    assert {table: shown(table) for table in tables} == tables


@pytest.mark.parametrize("config", accuracy.HEADED)
def test_configs_say_what_was_recorded_of_them(config: str) -> None:
    records = json.loads(accuracy.RESULTS.read_text())["recipes"][config]

    assert accuracy.reached(records) in (REPOSITORY / config).read_text().splitlines()


def test_no_recorded_kill_and_no_recorded_file_did_harm() -> None:
    kills = json.loads(chaos.RESULTS.read_text())
    readers = json.loads(fuzz.RESULTS.read_text())["readers"]

    assert all(outcome == "equal" for calls in kills.values() for counts in calls.values() for outcome in counts)
    assert [reader for reader in fuzz.INPUTS if readers[reader]["inputs"] < fuzz.INPUTS[reader]] == []
    assert [reader for reader in readers if readers[reader]["failures"]] == []


@pytest.mark.parametrize("path", [path.relative_to(REPOSITORY) for path in documents()], ids=str)
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(((?!http)[^)#]+)[^)]*\)", (REPOSITORY / path).read_text()):
        assert (REPOSITORY / path.parent / target).exists(), target

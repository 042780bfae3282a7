"""Databases of a study, as ``sweep`` reads them; nothing is trained and no chart drawn, which take the most time."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import Mock, patch

import yaml
from hypothesis import strategies as st
from optuna import Trial
from optuna.trial import TrialState

from benchmarks.fuzz.commands import SMALL, run, small_data
from benchmarks.fuzz.files import Inputs
from src.sweep import request, results, space, workers
from src.sweep.request import FitRequest
from src.sweep.study import SharedStudy
from src.sweep.trial import run_before
from tests.faults.databases import databases

SPACE = "model.lr: {log: [1e-3, 1e-1]}\nmodel.hidden_units: {choice: [[8], [16, 8]]}\n"
TRIALS = 3


@contextmanager
def nothing_trained(parsed: FitRequest) -> Iterator[None]:
    """Let trials end at once, charts be left out, and a worker that would wait for another one stop."""

    def run_nothing(shared: SharedStudy, one: Trial, *_: object) -> None:
        with shared.running(one):
            shared.space.suggest(one)
            run_before(one)
            one.set_user_attr("run", "version_0")
        shared.tell(one, TrialState.COMPLETE, 0.5)

    with ExitStack() as stack:
        for owner, name, other in (
            (request, "FitRequest", lambda _: parsed),  # parsed once, as that takes longer than to read a database
            (space.Space, "check", lambda *_: None),
            (results, "draw", lambda *_: None),
            (workers, "run", run_nothing),
            (workers, "time", Mock(sleep=Mock(side_effect=KeyboardInterrupt))),
        ):
            stack.enter_context(patch.object(owner, name, other))
        yield


def try_databases(data: Path) -> Inputs:
    """Databases, perhaps with a journal that is to be taken back."""
    Path("space.yaml").write_text(SPACE)
    words = [*small_data(data), *SMALL, "--model.hidden_units", "[8]"]
    parsed = FitRequest(words)
    folder = Path("lightning_logs/sweeps/space")
    command = ["sweep", "--space", "space.yaml", *words, "--trials"]
    with nothing_trained(parsed):
        run([*command, str(TRIALS)])
    whole = (folder / "study.db").read_bytes()

    def check(case: tuple[bytes, tuple[str, bytes], int]) -> str:
        content, (ending, beside), more = case
        for path in folder.iterdir():
            path.unlink()
        (folder / "study.db").write_bytes(content)
        if ending:
            (folder / f"study.db{ending}").write_bytes(beside)
        with nothing_trained(parsed):
            code, _ = run([*command, str(TRIALS + more)])
        if code == 0:
            best = (folder / "best.yaml").read_text()
            head = best.split("\n")[:3]
            assert all(line.startswith("#") and line.isprintable() for line in head), head
            assert yaml.safe_load(best).keys() == yaml.safe_load(parsed.to_yaml()).keys()
        return "refused" if code in (1, 2) else "accepted"

    inputs = st.builds(lambda file, more: (*file, more), databases(whole), st.integers(0, 1))
    return inputs, (whole, ("", b""), 0), check

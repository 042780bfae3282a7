"""Where a study is kept that many processes share: a journal file or a database."""

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy
from filelock import FileLock
from optuna import Study
from optuna.exceptions import OptunaError
from optuna.storages import BaseStorage, JournalStorage, RDBStorage, RetryHeartbeatStaleTrialCallback
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial

from src.common.errors import UsageError

HEARTBEAT_SECONDS = 10  # between two signs of life of a worker in a database, after three without it counts as dead
CONNECT_SECONDS = 10
MEANWHILE_SECONDS = 0.2
STORAGES = "name a file or a database, such as sqlite:///study.db or postgresql+psycopg://USER@HOST/NAME."
JOURNAL_BEGINS = b'{"op_code":'


def open_storage(storage: str) -> tuple[BaseStorage, FileLock | None]:
    """Open a journal file or a database.

    Args:
        storage: A file, or a database's URL.

    Returns:
        The storage; of a journal also the lock that each write takes, in a folder for locks of its own.

    Raises:
        UsageError: If it cannot be used.
    """
    if "://" not in storage:
        return open_journal(Path(storage))
    try:
        return open_database(storage), None
    except (sqlalchemy.exc.SQLAlchemyError, ImportError, OptunaError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UsageError(f"--storage {storage_name(storage)} cannot be used: {reason}; {STORAGES}") from error


def open_journal(path: Path) -> tuple[JournalStorage, FileLock]:
    """Open a journal file, or begin one.

    Raises:
        UsageError: If the file is something else.
    """
    if path.exists():
        try:
            with path.open("rb") as file:  # Optuna would take half a line of anything for one of a journal
                if not JOURNAL_BEGINS.startswith(file.read(len(JOURNAL_BEGINS))):
                    raise ValueError
            JournalStorage(JournalFileBackend(str(path)))  # which reads it
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise UsageError(f"--storage {path} is not the journal of a study: name another file.") from error
    locks = path.parent / f".{path.name}.locks"
    locks.mkdir(parents=True, exist_ok=True)
    lock = FileLock(locks / "journal")
    with lock:
        mend(path)
        interface: Any = lock  # has acquire and release, all that Optuna asks for
        return JournalStorage(JournalFileBackend(str(path), interface)), lock


def mend(journal: Path) -> None:
    """Take away the half line that a full disk or a power cut left at the end of a journal, if nobody writes to it."""
    content = journal.read_bytes() if journal.exists() else b""
    if content and not content.endswith(b"\n"):
        os.truncate(journal, content.rfind(b"\n") + 1)


def open_database(url: str) -> RDBStorage:
    """Open a database, and make its tables if there are none.

    Raises:
        SQLAlchemyError: If it cannot be reached.
        ImportError: If its driver is not installed.
    """
    arguments = {"connect_args": {"connect_timeout": CONNECT_SECONDS}} if url.startswith("postgres") else {}
    while True:
        try:
            return RDBStorage(
                url,
                engine_kwargs=arguments,
                heartbeat_interval=HEARTBEAT_SECONDS,
                grace_period=3 * HEARTBEAT_SECONDS,
                heartbeat_stale_trial_callback=requeue,
            )
        except sqlalchemy.exc.DatabaseError as error:
            if not isinstance(error, sqlalchemy.exc.IntegrityError) and "already exists" not in str(error):
                raise
            time.sleep(MEANWHILE_SECONDS)  # another worker makes the tables at this moment


def storage_name(storage: str | None) -> str:
    """Return a storage as it may be shown, without a password."""
    with suppress(sqlalchemy.exc.ArgumentError):
        return sqlalchemy.engine.make_url(storage or "").render_as_string(hide_password=True)
    return str(storage)


def requeue(study: Study, trial: FrozenTrial) -> None:
    """Queue the trial of a worker that has died or was stopped again, once."""
    queue = RetryHeartbeatStaleTrialCallback()
    queued = {number for each in study.get_trials(deepcopy=False) for number in queue.retry_history(each)}
    if trial.number not in queued:
        queue(study, trial)

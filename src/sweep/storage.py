"""Where a study is kept: a database that many processes share."""

import os
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import sqlalchemy
from optuna.exceptions import OptunaError
from optuna.storages import RDBStorage

from src.common.errors import UsageError

HEARTBEAT_SECONDS = 5  # between a worker's heartbeats; after three without a heartbeat the worker counts as dead
CONNECT_SECONDS = 10  # for a server to answer
LOCK_SECONDS = 60  # for the other workers to finish writing to an SQLite file
RETRY_SECONDS = 0.2
POSTGRESQL = "postgresql+psycopg://USER@HOST/NAME"
STORAGES = f"name a file or a database, such as sqlite:///study.db or {POSTGRESQL}."
PROGRAMS = "SELECT type FROM sqlite_master WHERE type IN ('view', 'trigger')"
COLUMNS = "SELECT t.name, c.name, c.type FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table'"
TYPES = {"INTEGER": "'integer'", "FLOAT": "'integer', 'real'"}
TYPES |= dict.fromkeys(("VARCHAR", "TEXT", "DATETIME"), "'text'")
MOUNTS = Path("/proc/self/mountinfo")  # Linux's; elsewhere no file system is refused
NETWORK_FILE_SYSTEMS = {
    *("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "lustre", "gpfs", "beegfs", "ceph", "glusterfs", "pvfs2"),
    *("fuse.sshfs", "fuse.ceph", "fuse.glusterfs", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone", "fuse.juicefs"),
}


def own_file(folder: Path) -> str:
    """Return the file of a study in its own folder; UsageError if a version before 0.2 began the study there."""
    journal = folder / "journal.log"
    if journal.exists() and not (folder / "study.db").exists():
        raise UsageError(
            f"--study {folder.name} was begun by a version before 0.2, whose {journal} cannot be continued: give this "
            "one another name with --study."
        )
    return str(folder / "study.db")


def open_storage(storage: str) -> RDBStorage:
    """Open the database of a study, a file for SQLite or a URL; make its folder and tables if there are none."""
    try:
        is_file = "://" not in storage
        url = sqlalchemy.URL.create("sqlite", database=storage) if is_file else sqlalchemy.make_url(storage)
        if url.get_backend_name() != "sqlite":
            return make_tables(url, {"connect_timeout": CONNECT_SECONDS} if storage.startswith("postgres") else {})
        if url.database in (None, "", ":memory:"):
            raise UsageError(f"--storage {storage} ends with the process: {STORAGES}")
        path = Path(str(url.database))
        refuse_file(path)
        if is_file:
            path.parent.mkdir(parents=True, exist_ok=True)
        opened = make_tables(url, {"timeout": LOCK_SECONDS})
    except (sqlalchemy.exc.SQLAlchemyError, ImportError, OptunaError, RuntimeError) as error:  # last: another version
        reason = str(error).strip().splitlines()[0]
        raise UsageError(f"--storage {storage_name(storage)} cannot be used: {reason}; {STORAGES}") from error
    lock_from_the_beginning(opened.engine)
    return opened


def make_tables(url: sqlalchemy.URL, connect_args: dict[str, int]) -> RDBStorage:
    """Open a database with Optuna's tables."""
    while True:
        try:
            return RDBStorage(
                url.render_as_string(hide_password=False),
                engine_kwargs={"connect_args": connect_args},
                heartbeat_interval=HEARTBEAT_SECONDS,
                grace_period=3 * HEARTBEAT_SECONDS,
            )
        except sqlalchemy.exc.DatabaseError as error:
            if not isinstance(error, sqlalchemy.exc.IntegrityError) and "already exists" not in str(error):
                raise
            time.sleep(RETRY_SECONDS)  # another worker makes the tables at this moment


def lock_from_the_beginning(engine: sqlalchemy.Engine) -> None:
    """Let each transaction of SQLite take the write lock at its beginning, as SQLAlchemy documents.

    By default SQLite locks at the first write: two workers that read at once would take the same trial, and a worker
    that writes after another worker would be refused ("database is locked") instead of waiting.
    """
    sqlalchemy.event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
    sqlalchemy.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN IMMEDIATE"))
    engine.dispose()  # the connections that were opened before


def refuse_file(path: Path) -> None:
    """Refuse a file that cannot be a study's SQLite database, or a place where no database is safe; write nothing."""
    if (kind := file_system(path)) in NETWORK_FILE_SYSTEMS:
        raise UsageError(
            f"--storage {path} lies on a network folder ({kind}), where SQLite may lose a study: name a file on a disk "
            f"of this machine, or for several machines a PostgreSQL database, {POSTGRESQL}."
        )
    if not path.exists() or (path.is_file() and not path.stat().st_size):  # another worker may begin it now
        return
    try:
        if not path.is_file():
            raise sqlite3.DatabaseError("not a regular file")
        uri = f"{path.resolve().as_uri()}?mode=rw"  # rw: after a kill SQLite must roll back half a write
        with closing(sqlite3.connect(uri, uri=True, timeout=LOCK_SECONDS)) as connection:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                raise sqlite3.DatabaseError(verdict)
            # views and triggers may do anything, or run without end, and Optuna makes none
            if made := connection.execute(PROGRAMS).fetchone():
                raise sqlite3.DatabaseError(f"it has a {made[0]}")
            if connection.execute("PRAGMA foreign_key_check").fetchone():
                raise sqlite3.DatabaseError("it has values of trials that are not there")
            refuse_types(connection)
            connection.execute("SELECT study_id, study_name FROM studies")  # the first table that Optuna makes
    except sqlite3.Error as error:
        raise UsageError(
            f"--storage {path} is damaged or not the database of a study ({' '.join(str(error).split())}): "
            "name another file, or leave --storage out and give another --study."
        ) from error


def refuse_types(connection: sqlite3.Connection) -> None:
    """Refuse values of another type than the column's, which SQLite keeps and on which Optuna fails later."""
    for table, column, kind in connection.execute(COLUMNS).fetchall():
        types = TYPES.get(kind.partition("(")[0])
        others = f'SELECT 1 FROM "{table}" WHERE typeof("{column}") NOT IN ({types}, \'null\')'
        if types and connection.execute(others).fetchone():
            raise sqlite3.DatabaseError(f"{table}.{column} has values of another type")


def file_system(path: Path) -> str:
    """Return the type of the file system that a file is or will be on, such as ext4; nothing where it is not known."""
    device = next(place for place in (path, *path.absolute().parents) if place.exists()).stat().st_dev
    with suppress(OSError):
        for line in MOUNTS.read_text().splitlines():
            mount, _, source = line.partition(" - ")
            if mount.split()[2] == f"{os.major(device)}:{os.minor(device)}":
                return source.split()[0]
    return ""


def storage_name(storage: str) -> str:
    """Return the name of a storage for messages, without its password."""
    with suppress(sqlalchemy.exc.ArgumentError):
        return sqlalchemy.make_url(storage).render_as_string(hide_password=True)
    return storage

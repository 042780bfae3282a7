"""Databases of a study: strange values in their tables, tables of other programs, and damage to the file."""

import sqlite3
from contextlib import closing, suppress

from hypothesis import strategies as st

from tests.faults.damage import torn

DISTRIBUTION = '{"name": "CategoricalDistribution", "attributes": {"choices": %s}}'
VALUES = [
    *(None, 0, -1, 3, 2**62, 0.5, 1e308, -1e308, "", "x", "2", b"\xff\0", "x" * 1_000_000),
    *("COMPLETE", "RUNNING", "WAITING", "FAIL", "PRUNED", "FINITE", "INF_POS", "INF_NEG", "NAN", "MINIMIZE", "NOT_SET"),
    *("\x1b[2J\n", "a\u202eb", "=cmd|' -C calc'!A0", "\nmodel: {lr: 9}", '"\\ud800"', '"\\u001b[2J\\n"', '"\\u202e"'),
    *("null", "[]", "{}", "1", '"x"', "NaN", "1e999", "[" * 5_000, "9" * 5_000, '{"a": ' * 5_000),
    *("9999-12-31 23:59:59", "0000-00-00", "2026-13-99 99:99:99", "0001-01-01 00:00:00.000000"),
    *(
        DISTRIBUTION % choices
        for choices in ('["\\u001b[2J", "a\\nb: 1"]', "[]", "[[1]]", "null", '["[8]", "[16, 8]"]')
    ),
    '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.001, "high": 0.1, "log": true}}',
    '{"name": "FloatDistribution", "attributes": {"step": null, "low": -1, "high": 1e999, "log": true}}',
    '{"name": "IntDistribution", "attributes": {"step": 0, "low": 0, "high": 9, "log": false}}',
    '{"name": "system", "attributes": {"command": "mkdir executed"}}',
]
# {0} is a table, {1} one of its columns
ALTERATIONS = [
    "DROP TABLE {0}",
    "DELETE FROM {0}",
    "DELETE FROM {0} WHERE rowid = 1",
    "UPDATE {0} SET {1} = CAST(x'ff' AS TEXT)",
    "UPDATE {0} SET {1} = (SELECT {1} FROM {0} LIMIT 1)",
    "ALTER TABLE {0} RENAME TO another",
    "ALTER TABLE {0} RENAME COLUMN {1} TO another",
    "ALTER TABLE {0} ADD COLUMN another TEXT NOT NULL DEFAULT 'x'",
    "ALTER TABLE {0} RENAME TO another; CREATE VIEW {0} AS SELECT * FROM another",
    "ALTER TABLE {0} RENAME TO another; CREATE VIEW {0} AS WITH RECURSIVE r AS "
    "(SELECT * FROM another UNION ALL SELECT * FROM r) SELECT * FROM r",
    "CREATE TABLE copy AS SELECT * FROM {0}; DROP TABLE {0}; ALTER TABLE copy RENAME TO {0}",
    "CREATE TABLE copy AS SELECT * FROM {0}; INSERT INTO copy SELECT * FROM {0}; DROP TABLE {0}; "
    "ALTER TABLE copy RENAME TO {0}",
    "CREATE TRIGGER t AFTER UPDATE ON {0} BEGIN SELECT RAISE(ABORT, 'x' || char(27) || '[2J'); END",
    "CREATE TRIGGER t BEFORE INSERT ON {0} BEGIN DELETE FROM trials; END",
    "PRAGMA writable_schema = 1; UPDATE sqlite_master SET sql = 'CREATE TABLE {0} (x' WHERE name = '{0}'",
    "PRAGMA writable_schema = 1; UPDATE sqlite_master SET rootpage = 2 WHERE name = '{0}'",
    "PRAGMA user_version = 7; PRAGMA application_id = 9",
    "INSERT INTO studies VALUES (9, 'space2'); INSERT INTO study_directions VALUES (9, 'MINIMIZE', 1, 1)",
    "INSERT INTO trials VALUES (99, 7, 1, 'RUNNING', NULL, NULL)",
    "INSERT INTO trials VALUES (99, 7, 1, 'WAITING', NULL, NULL)",
    "INSERT INTO trial_system_attributes VALUES (9, 1, 'failed_trial', '0')",
    "INSERT INTO trial_system_attributes VALUES (9, 1, 'fixed_params', '{{\"model.lr\": \"x\"}}')",
    "INSERT INTO trial_user_attributes VALUES (99, 1, 'error', '\"x\"')",
]
CREATED = "CREATE TABLE studies (study_id, study_name, title); INSERT INTO studies VALUES ('a', x'00', 'b')"


@st.composite
def altered(draw: st.DrawFn, whole: bytes, tables: dict[str, list[str]]) -> bytes:
    """A database in which some statements were run."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(whole)
        for _ in range(draw(st.integers(1, 3))):
            table = draw(st.sampled_from(sorted(tables)))
            column = draw(st.sampled_from(tables[table]))
            with suppress(sqlite3.Error):  # what does not go after what was run before
                if draw(st.booleans()):
                    one = draw(st.sampled_from(["", " WHERE rowid = 1", " WHERE rowid = 2"]))
                    connection.execute(f"UPDATE {table} SET {column} = ?{one}", [draw(st.sampled_from(VALUES))])
                    connection.commit()
                else:
                    connection.executescript(draw(st.sampled_from(ALTERATIONS)).format(table, column))
        return connection.serialize()


@st.composite
def reheaded(draw: st.DrawFn, whole: bytes) -> bytes:
    """A database whose first hundred bytes, or whose pages, are others."""
    content, size = bytearray(whole), 4096
    for _ in range(draw(st.integers(1, 2))):
        if draw(st.booleans()):
            place, field = (
                draw(st.integers(16, 99)),
                draw(st.sampled_from([b"\0", b"\1", b"\2\2", b"\xff\xff\xff\xff"])),
            )
            content[place : place + len(field)] = field
        else:
            here, there = (size * draw(st.integers(0, len(content) // size - 1)) for _ in range(2))
            content[here : here + size] = content[there : there + size]
    return bytes(content)


def tables_of(whole: bytes) -> dict[str, list[str]]:
    """Return the names of a database's tables and of their columns."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.deserialize(whole)
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: [row[1] for row in connection.execute(f"PRAGMA table_info({name})")] for name in names}


def databases(whole: bytes) -> st.SearchStrategy[tuple[bytes, tuple[str, bytes]]]:
    """Databases, each with the ending and the content of a file beside it, if it has one.

    Args:
        whole: A real one.
    """
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(CREATED)
        others = [b"", connection.serialize()]
    alterations = altered(whole, tables_of(whole))
    journal = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes([255] * 4) + bytes(500)
    sides = st.sampled_from(
        [("", b"")] * 12 + [("-journal", journal), ("-wal", b"\x37\x7f\x06\x82" + bytes(60)), ("-shm", b"x")]
    )
    files = st.one_of(
        alterations,
        alterations,
        alterations,
        torn(whole),
        reheaded(whole),
        st.sampled_from(others),
        st.binary(max_size=60),
    )
    return st.tuples(files, sides)

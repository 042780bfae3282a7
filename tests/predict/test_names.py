"""Folders and names that people or attackers give pictures: none is left out silently, printed raw or a formula."""

import os
import socket
from pathlib import Path

import pytest

from src.cli.main import main
from src.common.output import cell, say, warn
from tests.faults.calls import as_nobody
from tests.predict.conftest import draw, predict, rows_of


@pytest.fixture
def here(tmp_path: Path, own_run: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a run, two pictures and what is none."""
    monkeypatch.chdir(tmp_path)
    draw(tmp_path / "scans" / "b.png")
    draw(tmp_path / "scans" / "deep" / "er" / "c.tif")
    (tmp_path / "scans" / "notes.txt").write_text("not a picture, and not asked for")
    return tmp_path


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("words", ["scans", "scans/**/*.png", "scans/*/*.png", "scans/deep/*"])
def test_a_folder_that_may_not_be_read_has_a_row_with_the_reason(words: str, tmp_path: Path) -> None:
    for folder in (tmp_path, *list(tmp_path.parents)[:3]):
        if folder == Path("/tmp"):
            break
        folder.chmod(0o755)
    draw(tmp_path / "scans" / "deep" / "d.png")
    (tmp_path / "table").mkdir(mode=0o777)
    (tmp_path / "table").chmod(0o777)
    (tmp_path / "scans" / "deep").chmod(0)
    try:
        with as_nobody():
            code = predict("--images", words, "scans/b.png", "--output", "table/of.csv")
    finally:
        (tmp_path / "scans" / "deep").chmod(0o755)

    rows = {row["path"]: row["error"] for row in rows_of(tmp_path / "table" / "of.csv")}
    assert code == 1
    assert rows["scans/deep"] == "cannot be read (Permission denied)"
    assert rows["scans/b.png"] == ""


@pytest.mark.parametrize("words", ["scans/**/*.png", "scans/**", "scans"])
def test_links_that_lead_back_are_not_followed(here: Path, words: str) -> None:
    for name in "xyz":
        (here / "scans" / "deep" / name).symlink_to(here / "scans", target_is_directory=True)
    (here / "scans" / "notes.txt").unlink()
    assert predict("--images", words, "--output", "table.csv") == 0

    assert {row["path"] for row in rows_of(here / "table.csv")} >= {"scans/b.png"}
    assert len(rows_of(here / "table.csv")) == (1 if words.endswith("png") else 2)


def test_pipes_and_sockets_among_pictures_are_named(here: Path) -> None:
    os.mkfifo(here / "scans" / "pipe.png")
    os.mkfifo(here / "scans" / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("scans/socket.png")
        assert predict("--images", "scans", "--output", "table.csv") == 1

    errors = {row["path"]: row["error"] for row in rows_of(here / "table.csv") if row["error"]}
    assert errors.keys() == {"scans/pipe.png", "scans/pipe", "scans/socket.png"}


NASTY = [
    *("\x1b]0;owned\x07.png", "a\rb.png", "a\nb.png", "gnp.\u202e3.png", "b\udcff.png"),
    *("=cmd|' -C calc'!A0.png", "+1.png", "-2.png", "@x.png", "\t=1.png"),
]


def test_names_are_printed_in_a_line_each_and_are_no_formulas(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NASTY:
        draw(here / "nasty" / name)
    monkeypatch.chdir(here / "nasty")
    code = main(
        ["predict", "--ckpt_path", str(here / "lightning_logs/version_0"), "--images", ".", "--output", "../t.csv"]
    )

    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert len(lines) == len(NASTY) + 2
    assert all(map(str.isprintable, lines))
    assert r"\x1b]0;owned\x07.png" in "".join(lines)
    with (here / "t.csv").open(newline="", errors="surrogateescape") as file:
        paths = [row.split(",")[0].strip('"') for row in file.read().splitlines()[1:]]
    for path in paths:
        assert not path.startswith(("=", "+", "-", "@", "\t", "\r")), path
    assert "./=cmd|' -C calc'!A0.png" in paths
    assert Path("./=cmd|' -C calc'!A0.png").exists()


def test_the_names_of_classes_are_no_formulas_either() -> None:
    assert [cell(name, "'") for name in ("=1+1", "+x", "@x", "-x", "7", "-7", "zebra", "")] == [
        *("'=1+1", "'+x", "'@x", "'-x", "7", "-7", "zebra", "")
    ]


def test_what_is_printed_cannot_do_anything_to_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    say("a\x1b[2J\nb\u202ec")
    warn("run \x1b]0;x\x07 is damaged")
    out, err = capsys.readouterr()

    assert out == "a\\x1b[2J\nb\\u202ec\n"
    assert err == "warning: run \\x1b]0;x\\x07 is damaged\n"

"""What CONTRIBUTING.md names is there, and a version, a licence and a hook say the same everywhere."""

import re
import tomllib

import yaml

from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "CONTRIBUTING.md").read_text()
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
TEMPLATES = [
    *(REPOSITORY / ".github" / "ISSUE_TEMPLATE").iterdir(),
    REPOSITORY / ".github" / "pull_request_template.md",
]


def words(text: str) -> list[str]:
    """Return what stands between backticks, on one line."""
    return re.findall(r"`([^`\n]+)`", text)


def test_every_command_is_there() -> None:
    targets = re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    pages = [PAGE, *(path.read_text() for path in TEMPLATES)]
    commands = [word.split() for page in pages for word in words(page)]
    named = {command[1] for command in commands if command[0] == "make"}
    modules = {command[2] for command in commands if command[:2] == ["python", "-m"]}

    assert {"check", "test", "lint"} <= named <= {*targets}
    assert {module for module in modules if not (REPOSITORY / f"{module.replace('.', '/')}.py").is_file()} == set()
    assert len(modules) > 1


def test_every_path_is_there() -> None:
    paths = {word for word in words(PAGE) if re.fullmatch(r"[\w./-]*[/.][\w./-]+", word)}

    assert len(paths) > 10
    assert {path for path in paths if not (REPOSITORY / path).exists()} == set()


def test_hooks_run_what_is_there() -> None:
    (local,) = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text())["repos"]
    entries = [hook["entry"].split() for hook in local["hooks"]]

    assert local["repo"] == "local"
    for program, *rest in entries:
        assert (REPOSITORY / program).exists(), program
        assert all((REPOSITORY / word).exists() for word in rest if word.startswith("tests/")), rest


def test_version_and_licence_are_the_same_everywhere() -> None:
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    changes = re.findall(r"^## (\d\S*)$", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    licence = (REPOSITORY / "LICENSE").read_text().splitlines()

    assert (citation["version"], citation["license"]) == (PROJECT["version"], PROJECT["license"])
    assert changes[0] == PROJECT["version"]
    assert licence[0] == f"{PROJECT['license']} License"
    assert licence[2].endswith(citation["authors"][0]["name"])


def test_templates_are_short() -> None:
    assert {path.name for path in TEMPLATES if len(path.read_text().splitlines()) > 10} == set()

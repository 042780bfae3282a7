"""Who may import whom: packages lie on floors, and imports go down."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.conftest import REPOSITORY

FLOORS = (
    ("common",),
    ("data", "model", "digits"),
    ("runs",),
    ("predict", "export", "serve", "compare", "inspection", "callbacks", "launch"),
    ("cli",),
    ("sweep",),  # it trains by the command line, which knows it by name only
)
WITHOUT_LIGHTNING = ("common", "digits")
Imports = dict[str, set[str]]


def imports_of(source: str) -> Iterator[str]:
    """Yield the modules that a module imports, inside functions and for types too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def read(folder: Path) -> Imports:
    """Return what each module under src imports: modules of src by their names, others by their packages'."""
    paths = {".".join(path.relative_to(folder).with_suffix("").parts): path for path in folder.glob("src/**/*.py")}
    modules = {name.removesuffix(".__init__"): path for name, path in paths.items()}
    return {
        name: {used if used in modules else used.partition(".")[0] for used in imports_of(path.read_text())}
        - {"src", name}
        for name, path in modules.items()
    }


def package(module: str) -> str:
    return module.split(".")[1] if module.count(".") else ""


def floor(module: str) -> int:
    return next(number for number, packages in enumerate(FLOORS) if package(module) in packages)


def not_down(imports: Imports) -> list[str]:
    """Name the imports that go up, or from one package to another on the same floor."""
    return [
        f"{module} -> {used}"
        for module, others in imports.items()
        for used in others
        if used.startswith("src.") and package(used) != package(module) and floor(used) >= floor(module)
    ]


def circle(imports: Imports) -> list[str]:
    """Return modules that import each other in a circle, or nothing."""
    left = {module: {used for used in others if used in imports} for module, others in imports.items()}
    while leaves := [module for module, others in left.items() if not others & left.keys()]:
        for module in leaves:
            del left[module]
    return sorted(left)


def using(imports: Imports, packages: Iterable[str], library: str) -> list[str]:
    return [module for module, others in imports.items() if package(module) in packages and library in others]


def test_imports_go_down() -> None:
    imports = read(REPOSITORY)

    assert len(imports) > 60
    assert not_down({module: used for module, used in imports.items() if module != "src"}) == []


def test_no_modules_import_each_other() -> None:
    assert circle(read(REPOSITORY)) == []


def test_what_knows_no_lightning_does_not() -> None:
    imports = read(REPOSITORY)

    assert using(imports, WITHOUT_LIGHTNING, "lightning") == using(imports, WITHOUT_LIGHTNING, "torchmetrics") == []
    assert using(imports, ["callbacks"], "lightning") != []


def test_only_the_dispatch_of_commands_imports_by_text() -> None:
    paths = (REPOSITORY / "src").rglob("*.py")
    users = {
        str(path.relative_to(REPOSITORY)) for path in paths if "importlib.import_module" in imports_of(path.read_text())
    }

    assert users == {"src/cli/__main__.py", "src/cli/main.py"}


def test_what_is_wrong_is_found() -> None:
    imports = {
        "src.data.idx": {"src.common.files", "src.model.mlp", "torch"},
        "src.model.mlp": {"src.cli.fit"},
        "src.cli.fit": {"src.model.mlp"},
        "src.common.files": {"lightning"},
    }
    assert not_down(imports) == ["src.data.idx -> src.model.mlp", "src.model.mlp -> src.cli.fit"]
    assert circle(imports) == ["src.cli.fit", "src.data.idx", "src.model.mlp"]
    assert using(imports, WITHOUT_LIGHTNING, "lightning") == ["src.common.files"]

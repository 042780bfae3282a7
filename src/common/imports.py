"""A faster start, without the import of packages that no command uses."""

import sys
from collections.abc import Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import Distribution, DistributionFinder, PackageNotFoundError
from types import ModuleType

UNUSED = ("matplotlib", "scipy", "torchvision")
USERS = ("librosa", "torch_fidelity", "transformers")  # torchmetrics imports them, and they import UNUSED


class LeanTorchmetrics(MetaPathFinder):
    """Hides some packages from torchmetrics while it is imported.

    Where they are installed, its audio, detection and image metrics import them, which makes every start more than a
    second longer. The other metrics, such as classification, work without these packages, except for ``Metric.plot``.
    All other modules see the packages.
    """

    def __init__(self) -> None:
        self.hidden: list[str] = []

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return a spec of torchmetrics that hides packages; ModuleNotFoundError for a hidden package."""
        if name.partition(".")[0] in self.hidden:
            raise ModuleNotFoundError(f"{name} is hidden from torchmetrics", name=name)
        spec = PathFinder.find_spec(name, path) if name == "torchmetrics" else None
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def execute_lean(module: ModuleType) -> None:
            from lightning_utilities.core.imports import package_available

            self.hidden = [package for package in UNUSED + USERS if package not in sys.modules]
            try:
                execute(module)
            finally:
                self.hidden = []
                package_available.cache_clear()  # it answered for the hidden packages too

        spec.loader.exec_module = execute_lean  # type: ignore[method-assign]
        return spec

    def find_distributions(self, context: DistributionFinder.Context) -> Iterable[Distribution]:
        """Return nothing; PackageNotFoundError for a hidden package."""
        if context.name in self.hidden:
            raise PackageNotFoundError(context.name)
        return ()


def start_lean() -> None:
    """Let torchmetrics leave out packages that no command uses; call it before Lightning imports torchmetrics."""
    sys.meta_path.insert(0, LeanTorchmetrics())

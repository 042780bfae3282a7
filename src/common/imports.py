"""A start that does not wait for packages that no command uses."""

import sys
from collections.abc import Iterable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import Distribution, DistributionFinder, PackageNotFoundError
from types import ModuleType

UNUSED = ("matplotlib", "scipy", "torchvision")
USERS = ("librosa", "torch_fidelity", "transformers")  # would ask for these in vain while torchmetrics imports them


class LeanTorchmetrics(MetaPathFinder):
    """While torchmetrics is imported, says of some packages that they are not installed.

    Where they are, its metrics of sound, of detection and of pictures import them, which makes every start more than a
    second longer. The packages themselves stay as they are for everybody else; what torchmetrics offers without them
    are its other metrics, classification among them, without ``Metric.plot``.
    """

    def __init__(self) -> None:
        self.hidden: list[str] = []

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return how to import torchmetrics; ModuleNotFoundError for what it shall not see."""
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
        """Find nothing; PackageNotFoundError for what torchmetrics shall not see."""
        if context.name in self.hidden:
            raise PackageNotFoundError(context.name)
        return ()


def start_lean() -> None:
    """Let torchmetrics, which Lightning imports, leave out what no command uses; call it before either is imported."""
    sys.meta_path.insert(0, LeanTorchmetrics())

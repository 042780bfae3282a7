"""How Lightning writes and reads checkpoints."""

import io
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO
from typing_extensions import override

from src.common.files import write_atomic
from src.runs.checkpoint import Checkpoint


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint completely or not at all, and loads the checkpoint that was read and checked before."""

    def __init__(self, checkpoint: Checkpoint | None = None) -> None:
        super().__init__()
        self.checkpoint = checkpoint

    def load_checkpoint(self, path: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return the content of the checked checkpoint instead of reading the file a second time."""
        if self.checkpoint is not None and Path(path) == self.checkpoint.path:
            return dict(self.checkpoint.content)
        return dict(super().load_checkpoint(path, *args, **kwargs))

    @override
    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_atomic(Path(path), buffer.getvalue())

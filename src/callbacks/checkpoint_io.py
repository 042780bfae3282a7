"""How Lightning's checkpoints get to the disk and back."""

import io
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from src.common.files import write_atomic
from src.runs.checkpoint import Checkpoint


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints so that a reader or a kill never meets half of one, and loads the one that was checked.

    Args:
        checkpoint: What Lightning is to load, read before.
    """

    def __init__(self, checkpoint: Checkpoint | None = None) -> None:
        super().__init__()
        self.checkpoint = checkpoint

    def load_checkpoint(self, path: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Return what was read before, instead of the file a second time."""
        if self.checkpoint is None or Path(path) != self.checkpoint.path:
            content: dict[str, Any] = super().load_checkpoint(path, *args, **kwargs)
            return content
        return dict(self.checkpoint.content)

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write ``checkpoint`` to ``path`` by way of a temporary file, flushed to the disk."""
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_atomic(Path(path), buffer.getvalue())

"""The files of TensorBoard's Projector, each complete or not there."""

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor
from torch.nn.functional import pad

from src.common.drawing import to_png
from src.common.files import read_regular, write_atomic


def write_projector(
    folder: Path, name: str, title: str, activations: Tensor, table: Sequence[Sequence[str]], images: Tensor
) -> None:
    """Write the files of the Projector for one split; the files of other splits stay.

    Unlike ``SummaryWriter.add_embedding``, this makes no copy for each step, keeps the files that another process has
    added, and writes numbers with 4 digits instead of 17.

    ``activations`` are ``(N, units)``, ``images`` ``(N, H, W[, 3])`` uint8; ``table`` has a header and N rows.
    """
    from google.protobuf import text_format
    from tensorboard.plugins.projector import EmbeddingInfo, ProjectorConfig
    from torchvision.utils import make_grid

    place = f"projector/{name}"
    columns = int((len(images) - 1) ** 0.5) + 1  # TensorBoard wants a square
    is_grey = images.dim() == 3
    tiles = 255 - images[:, None] if is_grey else images.permute(0, 3, 1, 2)  # on white, which TensorBoard can tint
    sprites = pad(tiles, (0,) * 7 + (columns**2 - len(images),))
    square = make_grid(sprites, nrow=columns, padding=0)
    write_atomic(folder / place / "images.png", to_png((square[0] if is_grey else square.permute(1, 2, 0)).numpy()))
    pattern = "\t".join(["%.4g"] * activations.shape[1])
    lines = [pattern % tuple(row) for row in activations.tolist()]
    write_atomic(folder / place / "activations.tsv", "\n".join([*lines, ""]).encode())
    write_atomic(folder / place / "images.tsv", "".join("\t".join(row) + "\n" for row in table).encode())

    path = folder / "projector_config.pbtxt"
    config = text_format.Parse(read_regular(path).decode(), ProjectorConfig()) if path.exists() else ProjectorConfig()
    others = [embedding for embedding in config.embeddings if embedding.tensor_path != f"{place}/activations.tsv"]
    sprite = {"image_path": f"{place}/images.png", "single_image_dim": reversed(images.shape[1:3])}
    paths = {"tensor_path": f"{place}/activations.tsv", "metadata_path": f"{place}/images.tsv"}
    embedding = EmbeddingInfo(tensor_name=title, sprite=sprite, **paths)
    write_atomic(path, text_format.MessageToString(ProjectorConfig(embeddings=[*others, embedding])).encode())

"""Make weights/, the network that predict, serve and export use before anything was trained, and docs/digit.html of it.

``python -m scripts.weights RUN``, in the repository's root, writes the run's best checkpoint without what only training
needs, a card with what the run recorded and what it makes of the test images, and the page.
"""

import argparse
import hashlib
from io import BytesIO
from pathlib import Path
from string import Template
from typing import Any

import torch
import yaml

from src.common.files import write_atomic
from src.data.datasets import DIGITS
from src.export import describe, export, read_test_data
from src.export.hub import training, without_places
from src.runs.checkpoint import DATA, Checkpoint
from src.runs.trained import WEIGHTS, Trained, answers

KEPT = ("state_dict", "config", DATA, "hyper_parameters", "teacher_sha256", "pytorch-lightning_version")
CARD = Template("""# The network that comes with the project

`predict`, `serve` and `export` use [digits.ckpt](digits.ckpt) until there is a run of your own. It is the best epoch of
one training of the settings below, chosen on the validation split; it reads **$accuracy of the test
images** of $dataset right ($right of $all) and $validation of the validation split.

```yaml
$settings```

| file | SHA-256 |
|---|---|
| digits.ckpt | `$sha256` |
$digests

[What the recipe makes of other people's digits](../docs/generalization.md). `python -m scripts.weights RUN` made these
files and [the page to draw on](../docs/digit.html) from a run of `fit`.
""")


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run folder")
    run = parser.parse_args().run
    trained, content = Trained.load(run), Checkpoint.find(run, Path()).content
    if trained.classes != DIGITS:
        raise SystemExit(f"{run} has other classes than the ten digits.")
    test, files = read_test_data(trained, None)
    about = describe(trained, test, files, answers(trained.answer, test)[0])
    if (distilled := content["config"].get("distillation", {})).get("teacher"):
        distilled["teacher"] = Path(distilled["teacher"]).name  # and not the folder where it lay
    checkpoint = to_file({name: content[name] for name in KEPT})
    write_atomic(WEIGHTS, checkpoint)
    WEIGHTS.with_name("README.md").write_text(card(checkpoint, about, training(trained)))
    export("docs/digit.html", str(WEIGHTS.relative_to(Path.cwd())))  # by its place in the repository, which it names


def to_file(content: dict[str, Any]) -> bytes:
    """Return a checkpoint as a file."""
    file = BytesIO()
    torch.save(content, file)
    return file.getvalue()


def card(checkpoint: bytes, about: dict[str, Any], settings: dict[str, Any]) -> str:
    """Return the card."""
    return CARD.substitute(
        about,
        accuracy=f"{about['test/acc']:.2%}",
        right=f"{about['correct']:,}",
        all=f"{about['samples']:,}",
        validation=f"{settings['best']['val/acc']:.2%}",
        settings=yaml.safe_dump(without_places(settings), sort_keys=False),
        sha256=hashlib.sha256(checkpoint).hexdigest(),
        digests="\n".join(f"| {name} | `{value}` |" for name, value in about["data_sha256"].items()),
    )


if __name__ == "__main__":
    main()

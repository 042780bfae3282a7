"""The notebook's recipe in Keras 3 itself, many times over, to compare with.

Needs an environment of its own: ``pip install keras tensorflow``. Then ``python -m benchmarks.keras_notebook`` trains
60 networks for ten and ten more epochs and adds one line each to ``benchmarks/results/keras_reshuffled.jsonl``, which
keeps the seeds that it has (about twenty minutes on two cores).

The initial weights are seeded; the order of the images is not. With ``keras.utils.set_random_seed``, Keras 3 on
TensorFlow draws one order and repeats it in every epoch (``--show_order`` prints it), which the notebook, unseeded,
did not do, and which costs accuracy from the tenth epoch on.
"""

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from keras import layers

RAW = Path("data/MNIST/raw")
RESULTS = Path(__file__).parent / "results" / "keras_reshuffled.jsonl"
SEEDS = 60


def read(name: str, header: int) -> np.ndarray:
    """Read the values of an IDX file."""
    return np.frombuffer((RAW / name).read_bytes(), np.uint8)[header:]


def images_and_labels(part: str) -> tuple[np.ndarray, np.ndarray]:
    """Return float32 images ``(N, 784)`` between 0 and 1 and one-hot labels."""
    images = read(f"{part}-images-idx3-ubyte", 16).reshape(-1, 784).astype("float32") / 255
    return images, keras.utils.to_categorical(read(f"{part}-labels-idx1-ubyte", 8), 10)


def network(seed: int) -> keras.Model:
    """Build the notebook's network."""
    kernels = [keras.initializers.RandomNormal(0.0, 0.05, seed=2 * seed + layer) for layer in (0, 1)]
    model = keras.Sequential(
        [
            keras.Input((784,)),
            layers.Dense(256, activation="relu", kernel_initializer=kernels[0]),
            layers.Dense(10, activation="softmax", kernel_initializer=kernels[1]),
        ]
    )
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def train(seed: int) -> dict[str, float]:
    """Train one network for ten and ten more epochs and return the metrics after each ten."""
    (images, labels), (test_images, test_labels) = images_and_labels("train"), images_and_labels("t10k")
    model = network(seed)
    result: dict[str, float] = {"seed": seed}
    for epochs in (10, 20):
        log = model.fit(images, labels, batch_size=200, epochs=10, validation_split=0.2, verbose=0).history
        names = {"val": "val_accuracy", "loss": "loss", "vl": "val_loss"}
        result |= {f"{short}{epochs}": log[name][-1] for short, name in names.items()}
        result[f"t{epochs}"] = model.evaluate(test_images, test_labels, verbose=0)[1]
    return result


class Watch(layers.Layer):
    """Keeps the samples that pass through, in their order."""

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Start with none."""
        self.seen: list[int] = []

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        """Pass the samples on."""
        tf.py_function(lambda samples: self.seen.extend(int(sample) for sample in samples), [inputs], [])
        return inputs


def show_order() -> None:
    """Print the order of 12 samples in three epochs, seeded and not."""
    for seeded in (False, True):
        if seeded:
            keras.utils.set_random_seed(0)
        watch = Watch()
        model = keras.Sequential([keras.Input((1,)), watch, layers.Dense(1)])
        model.compile(optimizer="sgd", loss="mse")
        samples = np.arange(12, dtype="float32")[:, None]
        model.fit(samples, samples, batch_size=4, epochs=3, verbose=0)
        epochs = (watch.seen[start : start + 12] for start in (0, 12, 24))
        print("seeded" if seeded else "not seeded", *epochs, sep="\n  ")


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--show_order", action="store_true", help="only show in which order Keras feeds the samples")
    if parser.parse_args().show_order:
        show_order()
        return
    recorded = len(RESULTS.read_text().splitlines()) if RESULTS.exists() else 0
    with RESULTS.open("a") as file:
        for seed in range(recorded, SEEDS):
            file.write(json.dumps(train(seed)) + "\n")
            file.flush()


if __name__ == "__main__":
    main()

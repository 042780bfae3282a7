"""The notebook's recipe in Keras 3, as the notebook has it or (``--tuned``) as fast as its options make it.

The backend is the one that ``KERAS_BACKEND`` names.
"""

import keras
from keras import layers

from benchmarks.peers.common import Clock, options, read


class KerasClock(keras.callbacks.Callback):
    """Tells the clock; safe to be called late, so that Keras need not wait for it after every batch."""

    async_safe = True

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Note the step."""
        self.clock.step()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Note the epoch."""
        self.clock.epoch((logs or {}).get("val_accuracy"))


def main() -> None:
    """Train and report."""
    parser = options(__doc__)
    parser.add_argument("--tuned", action="store_true")
    flags = parser.parse_args()
    images = read("images").astype("float32") / 255
    labels = keras.utils.to_categorical(read("labels"), 10)
    initializer = keras.initializers.RandomNormal(0.0, 0.05)
    model = keras.Sequential(
        [
            keras.Input((784,)),
            layers.Dense(256, activation="relu", kernel_initializer=initializer),
            layers.Dense(10, activation="softmax", kernel_initializer=initializer),
        ]
    )
    faster = {"jit_compile": True, "steps_per_execution": 24} if flags.tuned else {}
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"], **faster)
    clock = KerasClock()
    verbose = 2 if flags.tuned else "auto"
    model.fit(
        images, labels, batch_size=200, epochs=flags.epochs, validation_split=0.2, callbacks=[clock], verbose=verbose
    )
    clock.clock.report()


if __name__ == "__main__":
    main()

"""JAX with a whole epoch as one compiled scan over its batches, and Adam by hand."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from benchmarks.peers.common import VAL_SIZE, Clock, options, read

Tree = dict[str, Array]
TRAIN_SIZE, BATCH_SIZE = 48_000, 200


def init(key: Array) -> Tree:
    """Draw the notebook's initial weights."""
    first, second = jax.random.split(key)
    return {
        "w1": 0.05 * jax.random.normal(first, (784, 256)),
        "b1": jnp.zeros(256),
        "w2": 0.05 * jax.random.normal(second, (256, 10)),
        "b2": jnp.zeros(10),
    }


def loss_and_hits(params: Tree, x: Array, y: Array) -> tuple[Array, Array]:
    """Return the mean cross-entropy and how many are right."""
    logits = jax.nn.relu(x @ params["w1"] + params["b1"]) @ params["w2"] + params["b2"]
    loss = -jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], 1).mean()
    return loss, (logits.argmax(1) == y).sum()


def adam(params: Tree, grads: Tree, mean: Tree, square: Tree, step: Array) -> tuple[Tree, Tree, Tree]:
    """Return the updated parameters and both moments."""
    mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, grads)
    square = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, square, grads)
    lr = 1e-3 * jnp.sqrt(1 - 0.999**step) / (1 - 0.9**step)
    return jax.tree.map(lambda p, m, v: p - lr * m / (jnp.sqrt(v) + 1e-7), params, mean, square), mean, square


def epoch(state: tuple[Tree, Tree, Tree, Array], key: Array, images: Array, labels: Array) -> tuple[Any, Any]:
    """Train one epoch and validate; return the new state and the epoch's metrics."""

    def step(state: tuple[Tree, Tree, Tree, Array], members: Array) -> tuple[Any, Any]:
        params, mean, square, count = state
        x, y = images[members], labels[members]
        (loss, hits), grads = jax.value_and_grad(loss_and_hits, has_aux=True)(params, x, y)
        return (*adam(params, grads, mean, square, count + 1.0), count + 1.0), (loss, hits)

    order = jax.random.permutation(key, TRAIN_SIZE).reshape(-1, BATCH_SIZE)
    state, (losses, hits) = jax.lax.scan(step, state, order)
    val_loss, val_hits = loss_and_hits(state[0], images[TRAIN_SIZE:], labels[TRAIN_SIZE:])
    return state, (losses.mean(), hits.sum() / TRAIN_SIZE, val_loss, val_hits / VAL_SIZE)


def main() -> None:
    """Train and report."""
    flags = options(__doc__).parse_args()
    clock = Clock()
    images = jnp.asarray(read("images").astype("float32") / 255)
    labels = jnp.asarray(read("labels").astype("int32"))
    key, params_key = jax.random.split(jax.random.key(flags.seed))
    params = init(params_key)
    zeros = jax.tree.map(jnp.zeros_like, params)
    state = (params, zeros, zeros, jnp.zeros(()))
    compiled = jax.jit(epoch).lower(state, key, images, labels).compile()
    clock.step()  # a scan shows no step of its own: compiled is as close to the first one as can be seen
    for number in range(flags.epochs):
        state, metrics = compiled(state, jax.random.fold_in(key, number), images, labels)
        train_loss, train_acc, val_loss, val_acc = map(float, metrics)
        print(f"{number + 1}: {train_loss:.4f} {train_acc:.4f} {val_loss:.4f} {val_acc:.4f}")
        clock.epoch(val_acc)
    clock.report()


if __name__ == "__main__":
    main()

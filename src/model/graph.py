"""Many small kernels as one launch: a function captured as a CUDA graph and replayed."""

from collections.abc import Callable

import torch
from torch import Tensor

Function = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


class CaptureError(RuntimeError):
    """The function does something that a CUDA graph cannot hold."""


def capture(function: Function, images: Tensor, labels: Tensor) -> tuple[Callable[[], None], tuple[Tensor, Tensor]]:
    """Record the kernels of a call without running them.

    Returns:
        A function that runs the kernels on the current values of the two tensors, and the tensors of the results.
    """
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            results = function(images, labels)
    except RuntimeError as error:
        raise CaptureError(str(error).partition("\n")[0]) from error
    return graph.replay, results


class CapturedFunction:
    """Runs a function directly the first time, captures it the second time and replays it from then on.

    The first call allocates memory that later calls reuse (the optimizer's state, workspaces of cuBLAS), on a side
    stream as PyTorch requires (https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs). Its result counts
    like any other result: no step is only a warm-up.

    Args:
        function: Takes images and labels and returns two tensors; all other tensors that it reads and writes must keep
            their place in memory.
    """

    def __init__(self, function: Function) -> None:
        self.function = function
        self._called = False
        self._inputs: tuple[Tensor, Tensor] | None = None
        self._replay: Callable[[], None]
        self._results: tuple[Tensor, Tensor]

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Call the function on tensors of the same shapes every time; the next call overwrites its results.

        Raises:
            CaptureError: If the function cannot be captured; it has then not run.
        """
        if not self._called:
            self._called = True
            return self._warm_up(images, labels)
        if self._inputs is None:
            inputs = images.clone(), labels.clone()
            self._replay, self._results = capture(self.function, *inputs)
            self._inputs = inputs
        for held, given in zip(self._inputs, (images, labels), strict=True):
            held.copy_(given)
        self._replay()
        return self._results

    def _warm_up(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        if not images.is_cuda:
            return self.function(images, labels)
        current = torch.cuda.current_stream(images.device)
        side = torch.cuda.Stream(images.device)  # type: ignore[no-untyped-call]
        side.wait_stream(current)
        with torch.cuda.stream(side):
            results = self.function(images, labels)
        current.wait_stream(side)
        return results

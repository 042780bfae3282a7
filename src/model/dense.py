"""The MLP's forward and backward pass on the CPU without autograd: the same bits, sooner."""

from typing import Any

import torch
from lightning.pytorch import LightningModule
from torch import Tensor, nn

from src.model.mlp import MLP


class Dense:
    """An MLP's forward and backward pass into memory that stays; autograd allocates it anew for every product.

    Args:
        net: The network, on the CPU.
    """

    def __init__(self, net: MLP) -> None:
        self.linears = [layer for layer in net if isinstance(layer, nn.Linear)]
        self.dropout = next((layer.p for layer in net if isinstance(layer, nn.Dropout)), 0.0)
        self.gradients = [(torch.empty_like(layer.weight), torch.empty_like(layer.bias)) for layer in self.linears]
        self.hidden: dict[int, list[Tensor]] = {}  # of each layer, by the batch's size
        self.hidden_gradients: dict[int, list[Tensor]] = {}

    @classmethod
    def of(cls, module: LightningModule) -> "Dense | None":
        """Return that of a module's MLP, if all of it is trained on the CPU, and nobody looks into its layers."""
        net: Any = module.net
        hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")  # none is public
        fits = (
            type(net) is MLP
            and type(module).forward.__qualname__ == "Classifier.forward"  # which adds nothing to the network's
            and module.trainer.precision in ("32-true", "64-true")
            and not torch.is_anomaly_enabled()
            and all(type(layer) in (nn.Flatten, nn.Linear, nn.ReLU, nn.Dropout) for layer in net)
            and not any(getattr(part, name) for part in module.modules() for name in hooks)
            and all(weight.requires_grad and not weight._backward_hooks for weight in net.parameters())
        )
        return cls(net) if fits else None

    def __call__(self, images: Tensor) -> Tensor:
        """Return the logits ``(B, num_classes)``; their backward pass sets the gradients of the parameters.

        Args:
            images: ``(B, C, H, W)`` float32.
        """
        images = images.to(self.linears[0].weight.dtype)
        size = len(images)
        if size not in self.hidden:
            for buffers in (self.hidden, self.hidden_gradients):
                buffers[size] = [images.new_empty(size, layer.out_features) for layer in self.linears[:-1]]
        inputs, kept = [images.flatten(1)], []
        with torch.no_grad():
            for layer, hidden in zip(self.linears, self.hidden[size], strict=False):
                torch.addmm(layer.bias, inputs[-1], layer.weight.t(), out=hidden).relu_()
                if self.dropout:  # as torch draws it on the CPU
                    kept.append(torch.empty_like(hidden).bernoulli_(1 - self.dropout).div_(1 - self.dropout))
                inputs.append(hidden * kept[-1] if self.dropout else hidden)
            logits = torch.addmm(self.linears[-1].bias, inputs[-1], self.linears[-1].weight.t())
        logits.requires_grad_()
        logits.register_hook(lambda gradient: self._backward(gradient, inputs, kept))  # type: ignore[no-untyped-call]
        return logits

    @torch.no_grad()
    def _backward(self, gradient: Tensor, inputs: list[Tensor], kept: list[Tensor]) -> None:
        size = len(gradient)
        for number in reversed(range(len(self.linears))):
            layer, (of_weight, of_bias) = self.linears[number], self.gradients[number]
            torch.mm(gradient.t(), inputs[number], out=of_weight)
            torch.sum(gradient, 0, out=of_bias)
            layer.weight.grad, layer.bias.grad = of_weight, of_bias
            if number:
                gradient = torch.mm(gradient, layer.weight, out=self.hidden_gradients[size][number - 1])
                if self.dropout:
                    gradient.mul_(kept[number - 1])
                gradient.masked_fill_(self.hidden[size][number - 1] <= 0, 0)

"""What to write in a notebook instead of Keras' methods and arguments."""

from torch import nn

from src.common.errors import UsageError

KERAS = {
    "fit": "Trainer(max_epochs=10).fit(model, datamodule=data)",
    "history": "trainer.callback_metrics, or a callback that keeps them, as in notebooks/mnist_mlp.ipynb",
    "evaluate": "Trainer(logger=False).test(model, datamodule=data)",
    "predict": "src.inspection.findings.predict(model, data.splits['test'], data), or model.eval() and "
    "model(data.normalize(images)).softmax(dim=1)",
    "layers": "model.net",
    "get_weights": "model.state_dict()",
    "load_weights": "Classifier.load_from_checkpoint('mine.ckpt')",
    **dict.fromkeys(("save", "save_weights"), "trainer.save_checkpoint('mine.ckpt')"),
    **dict.fromkeys(("summary", "count_params"), "print(src.model.networks.parameter_table(model))"),
}


def refuse_no_modules(network: object, loss: object) -> None:
    """Refuse a network that is a number of units and a loss that is a name, both valid in Keras."""
    if not isinstance(network, str | nn.Module):
        raise UsageError(f"`network` must be mlp, cnn or a module, got {network!r}: for units use hidden_units=[512].")
    if not isinstance(loss, nn.Module | None):
        raise UsageError(f"`loss` must be a module, got {loss!r}: write torch.nn.CrossEntropyLoss(reduction='sum').")

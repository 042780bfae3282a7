"""Replacements in a notebook for the methods of Keras' models."""

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

"""A 784-256-10 MLP on MNIST in PyTorch Lightning."""

"""A 784-256-10 MLP on MNIST in PyTorch Lightning."""

from src.common.imports import start_lean

start_lean()

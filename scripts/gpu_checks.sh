#!/usr/bin/env bash
# What only an NVIDIA GPU can show, in at most eight minutes; one is enough, and .ci/run has none.
set -euo pipefail
cd "$(dirname "$0")/.."
# ddp.yaml over NCCL; the graph's weights equal to those of single steps and of a resumed run, bit for bit
.venv/bin/python -m pytest tests/test_cuda_graph.py tests/devices/test_launchers.py -k gpu -rs
.venv/bin/python -m benchmarks.gpu # a step inside the graph: 40 µs wanted
for seed in 0 1 2 3 4; do
    .venv/bin/python -m src.cli fit --config configs/mlp.yaml --config configs/gpu.yaml --inspection.enabled false \
        --seed_everything "$seed" | grep "^Best"
done

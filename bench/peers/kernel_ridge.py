"""A ridge regression by LAPACK at the shapes of the bench `kernel-ridge`: float64 Gram matrix (dsyrk, as NumPy does it), potrf and potrs, all OpenBLAS.

    OPENBLAS_NUM_THREADS=2 python3 bench/peers/kernel_ridge.py [--iters N]
"""
import argparse
import json
import statistics
import time

import numpy as np
from scipy.linalg import cho_factor, cho_solve

N, D, K = 1000, 8193, 512


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--iters", type=int, default=5)
    iters = parser.parse_args().iters
    draw = np.random.default_rng(0)
    phi = draw.uniform(-1, 1, (N, D)).astype(np.float32)
    targets = draw.uniform(-1, 1, (N, K)).astype(np.float32)

    def step():
        wide = phi.astype(np.float64)
        matrix = wide @ wide.T
        ridge = 1e-6 * np.trace(matrix)
        matrix[np.diag_indices(N)] += ridge
        factor = cho_factor(matrix, lower=True, overwrite_a=True, check_finite=False)
        return cho_solve(factor, targets.astype(np.float64), overwrite_b=True, check_finite=False)

    step()
    seconds = []
    for _ in range(iters):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"name": "kernel-ridge", "median_s": round(statistics.median(seconds), 4), "best_s": round(min(seconds), 4), "iters": iters}))


main()

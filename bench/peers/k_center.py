"""k-center greedy in PyTorch at the shapes of the bench `k-center`: 50 picks of 5,000 x 2,048, a running minimum, as DeepCore does.

    python3 bench/peers/k_center.py [--iters N] [--threads T]
"""
from common import bench, options, torch

ROWS, WIDTH, PICKS = 5000, 2048, 50


def main():
    args = options()
    features = torch.rand(ROWS, WIDTH) * 2 - 1

    def step():
        chosen = int((features - features.mean(0)).norm(dim=1).argmin())
        nearest = torch.full((ROWS,), float("inf"))
        for _ in range(PICKS):
            nearest = torch.minimum(nearest, (features - features[chosen]).norm(dim=1))
            nearest[chosen] = -1
            chosen = int(nearest.argmax())
        return chosen

    bench("k-center", step, args)


main()

"""GraNd of 256 images in PyTorch, at the shapes of the bench `grand`: gradients of single samples by vmap over grad, then their norms.

    python3 bench/peers/grand.py [--iters N] [--threads T] [--chunk N]
"""
from common import CLASSES, F, REAL, SIZE, apply, bench, options, parser, random_network, torch

try:
    from torch.func import grad, vmap
except ImportError:
    from functorch import grad, vmap

parser.add_argument("--chunk", type=int, default=64, help="samples whose gradients stand in memory together")


def main():
    args = options()
    weights = random_network()
    images, labels = torch.randn(REAL, 3, SIZE, SIZE), torch.arange(REAL) % CLASSES
    per_sample = vmap(grad(lambda w, x, y: F.cross_entropy(apply(w, x[None])[2], y[None])), in_dims=(None, 0, 0))

    def step():
        norms = []
        for x, y in zip(images.split(args.chunk), labels.split(args.chunk)):
            gradients = per_sample(weights, x, y)
            norms.append(sum((g.flatten(1) ** 2).sum(1) for g in gradients.values()).sqrt())
        return torch.cat(norms)[0]

    bench("grand", step, args)


main()

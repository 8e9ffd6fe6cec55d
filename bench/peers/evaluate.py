"""One epoch of the evaluation protocol in PyTorch, network after network as the released code does: 5 ConvNets, 10 classes x 10 images, DSA.

    python3 bench/peers/evaluate.py [--iters N] [--threads T]
"""
import random

from common import CLASSES, IPC, SIZE, apply, bench, options, random_network, torch
from torch.nn import functional as F

NETWORKS = 5


def brightness(x):
    return x + (torch.rand(len(x), 1, 1, 1) - 0.5)


def saturation(x):
    m = x.mean(1, keepdim=True)
    return (x - m) * torch.rand(len(x), 1, 1, 1) * 2 + m


def contrast(x):
    m = x.mean((1, 2, 3), keepdim=True)
    return (x - m) * (torch.rand(len(x), 1, 1, 1) + 0.5) + m


def color(x):
    return contrast(saturation(brightness(x)))


def gathered(x, dy, dx):
    n, _, h, w = x.shape
    padded = F.pad(x, (w, w, h, h)).permute(0, 2, 3, 1)
    rows = torch.arange(h).view(1, h, 1) + h + dy.view(n, 1, 1)
    columns = torch.arange(w).view(1, 1, w) + w + dx.view(n, 1, 1)
    return padded[torch.arange(n).view(n, 1, 1), rows, columns].permute(0, 3, 1, 2)


def crop(x):
    r = int(SIZE * 0.125 + 0.5)
    return gathered(x, torch.randint(-r, r + 1, (len(x),)), torch.randint(-r, r + 1, (len(x),)))


def cutout(x):
    side = int(SIZE * 0.5 + 0.5)
    cy, cx = (torch.randint(0, SIZE + (1 - side % 2), (len(x), 1, 1)) for _ in range(2))
    place = torch.arange(SIZE)
    inside_y = (place.view(1, SIZE, 1) - cy + side // 2 >= 0) & (place.view(1, SIZE, 1) - cy - side // 2 < 0)
    inside_x = (place.view(1, 1, SIZE) - cx + side // 2 >= 0) & (place.view(1, 1, SIZE) - cx - side // 2 < 0)
    return x * (~(inside_y & inside_x)).unsqueeze(1)


def flip(x):
    return torch.where(torch.rand(len(x), 1, 1, 1) < 0.5, x.flip(3), x)


def affine(x, theta):
    return F.grid_sample(x, F.affine_grid(theta, x.shape, align_corners=False), align_corners=False)


def scale(x):
    theta = torch.zeros(len(x), 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = (torch.rand(len(x)) * (1.2 - 1 / 1.2) + 1 / 1.2 for _ in range(2))
    return affine(x, theta)


def rotate(x):
    t = (torch.rand(len(x)) - 0.5) * torch.pi / 6
    theta = torch.zeros(len(x), 2, 3)
    theta[:, 0, 0], theta[:, 0, 1], theta[:, 1, 0], theta[:, 1, 1] = t.cos(), -t.sin(), t.sin(), t.cos()
    return affine(x, theta)


OPERATIONS = [color, crop, cutout, flip, scale, rotate]


def main():
    args = options()
    images = torch.randn(CLASSES * IPC, 3, SIZE, SIZE)
    labels = torch.arange(CLASSES).repeat_interleave(IPC)
    networks = [{name: w.requires_grad_() for name, w in random_network().items()} for _ in range(NETWORKS)]
    optimizers = [torch.optim.SGD(w.values(), lr=0.01, momentum=0.9, weight_decay=5e-4) for w in networks]

    def step():
        total = 0.0
        for w, optimizer in zip(networks, optimizers):
            order = torch.randperm(len(images))
            with torch.no_grad():
                x = random.choice(OPERATIONS)(images[order])
            loss = F.cross_entropy(apply(w, x)[2], labels[order])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += float(loss)
        return total / NETWORKS

    bench("evaluate", step, args)


main()

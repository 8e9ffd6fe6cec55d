"""The bench `ssl` in PyTorch: 256 images of 32 pixels in two views, ResNet-18 (stem 3x3 with padding 2), Barlow Twins, LARS.

    python3 bench/peers/ssl.py [--iters N] [--threads T]

Views are made as this package makes them: crops and blur by one product per axis, colours as numbers, with draws for each image.
"""
import math

from common import F, bench, options, torch

ROWS, SIZE, DIM = 256, 32, 2048
nn = torch.nn


class Block(nn.Module):
    def __init__(self, inputs, channels, stride):
        super().__init__()
        self.conv0, self.norm0 = nn.Conv2d(inputs, channels, 3, stride, 1, bias=False), nn.BatchNorm2d(channels)
        self.conv1, self.norm1 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False), nn.BatchNorm2d(channels)
        self.shortcut = nn.Identity()
        if stride != 1 or inputs != channels:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, channels, 1, stride, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x):
        y = self.norm1(self.conv1(F.relu(self.norm0(self.conv0(x)))))
        return F.relu(y + self.shortcut(x))


def backbone():
    blocks, inputs = [], 64
    for stage in range(4):
        for block in range(2):
            blocks.append(Block(inputs, 64 << stage, 2 if stage > 0 and block == 0 else 1))
            inputs = 64 << stage
    stem = [nn.Conv2d(3, 64, 3, 1, 2, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def projector():
    hidden = lambda inputs: [nn.Linear(inputs, DIM), nn.BatchNorm1d(DIM), nn.ReLU()]
    return nn.Sequential(*hidden(512), *hidden(DIM), nn.Linear(DIM, DIM))


def weights(start, length, flip):
    """Bilinear weights of a resize of [start, start + length) to SIZE pixels, [rows, SIZE, SIZE]."""
    i = torch.arange(SIZE).view(1, SIZE, 1).float()
    i = torch.where(flip.view(-1, 1, 1), SIZE - 1 - i, i)
    inside = (i + 0.5) * length.view(-1, 1, 1) / SIZE - 0.5
    source = start.view(-1, 1, 1) + torch.minimum(inside.clamp(min=0), length.view(-1, 1, 1) - 1)
    return (1 - (source - torch.arange(SIZE).view(1, 1, SIZE)).abs()).clamp(min=0)


def gray(x):
    return (x * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)


def hue(x, share):
    value, least = x.amax(1), x.amin(1)
    chroma = value - least
    divisor = torch.where(chroma > 0, chroma, 1)
    r, g, b = x.unbind(1)
    sixth = torch.where(r >= value, (g - b) / divisor, torch.where(g >= value, (b - r) / divisor + 2, (r - g) / divisor + 4))
    h = (sixth / 6 + share.view(-1, 1, 1)).remainder(1) * 6
    planes = []
    for n in (5, 3, 1):
        k = (h + n).remainder(6)
        planes.append(value - chroma * torch.minimum(torch.minimum(k, 4 - k), torch.ones(())).clamp(min=0))
    return torch.stack(planes, 1)


def uniform(low, high):
    return torch.empty(ROWS, 1, 1, 1).uniform_(low, high)


def jittered(x):
    brightness, contrast, saturation, turn = uniform(0.6, 1.4), uniform(0.6, 1.4), uniform(0.8, 1.2), uniform(-0.1, 0.1)
    active, order = torch.rand(ROWS, 1, 1, 1) < 0.8, torch.rand(ROWS, 4).argsort(1)
    for slot in range(4):
        kind, g = order[:, slot].view(-1, 1, 1, 1), gray(x)
        level = g.mean((1, 2, 3), keepdim=True)
        moved = [x * brightness, (x - level) * contrast + level, (x - g) * saturation + g, hue(x, turn)]
        for k, y in enumerate(moved):
            x = torch.where(active & (kind == k), y.clamp(0, 1), x)
    return x


def view(x, solarise):
    area, ratio = torch.empty(ROWS).uniform_(0.08, 1) * SIZE * SIZE, torch.exp(torch.empty(ROWS).uniform_(math.log(3 / 4), math.log(4 / 3)))
    height, width = (s.round().clamp(1, SIZE) for s in ((area / ratio).sqrt(), (area * ratio).sqrt()))
    top, left = ((torch.rand(ROWS) * (SIZE - s + 1)).floor() for s in (height, width))
    rows, columns = weights(top, height, torch.zeros(ROWS, dtype=torch.bool)), weights(left, width, torch.rand(ROWS) < 0.5)
    x = jittered(rows.unsqueeze(1) @ x @ columns.unsqueeze(1).transpose(2, 3))
    x = torch.where(torch.rand(ROWS, 1, 1, 1) < 0.2, gray(x), x)
    x = torch.where((torch.rand(ROWS, 1, 1, 1) < solarise) & (x >= 0.5), 1 - x, x)
    return (x - 0.5) / 0.25


def loss_of(z1, z2):
    a, b = (F.batch_norm(z, None, None, training=True) for z in (z1, z2))
    c = a.T @ b / ROWS
    diagonal = c.diagonal()
    return 0.1 * ((1 - diagonal).square().sum() + 0.0051 * (c.square().sum() - diagonal.square().sum()))


def lars(parameters, buffers, lr):
    with torch.no_grad():
        for p, v in zip(parameters, buffers):
            g = p.grad
            if p.dim() > 1:
                trust = 0.02 * p.norm() / (g.norm() + 1e-4 * p.norm() + 1e-8)
                g = (g + 1e-4 * p) * (trust / lr).clamp(max=1)
            v.mul_(0.9).add_(g)
            p.sub_(v, alpha=lr)


def main():
    args = options()
    images = torch.randint(0, 256, (ROWS, 3, SIZE, SIZE), dtype=torch.uint8)
    encode, project = backbone().to(memory_format=torch.channels_last), projector()
    parameters = [*encode.parameters(), *project.parameters()]
    buffers = [torch.zeros_like(p) for p in parameters]

    def step():
        x = images.float() / 255
        with torch.no_grad():
            views = [view(x, share).to(memory_format=torch.channels_last) for share in (0, 0.2)]
        loss = loss_of(*(project(encode(v)) for v in views))
        for p in parameters:
            p.grad = None
        loss.backward()
        lars(parameters, buffers, 3e-5)
        return loss.item()

    bench("ssl", step, args)


main()

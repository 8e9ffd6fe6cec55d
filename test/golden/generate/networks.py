"""Writes test/golden/data/networks/*.json: float64 forward and gradient values of every network, from PyTorch.

Narrow networks on small images. Parameters and pixels are whole numbers over a power of two, hence exact in float32. Seeds are searched
until no ReLU input and no difference within a max-pool window is so small that float32 rounding could change a decision.

    python3 test/golden/generate/networks.py        (PyTorch 1.13, NumPy; about a minute)
"""
import json
import math
import os

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

OUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "networks")
WEIGHT_DIVISOR, PIXEL_DIVISOR, MARGIN = 64, 1024, 2e-5
CLASSES = 3


def norm_layer(kind, channels, height, width):
    return {
        "instance": lambda: nn.GroupNorm(channels, channels),
        "group": lambda: nn.GroupNorm(4, channels),
        "layer": lambda: nn.LayerNorm([channels, height, width]),
        "batch": lambda: nn.BatchNorm2d(channels),
    }[kind]()


def first_pad(kernel, height):
    return (kernel - 1) // 2 + (2 if height == 28 else 0)


class Plain(nn.Module):
    """Blocks of convolution, norm, activation and pooling, then linear layers; the input of the last one is the embedding."""

    def __init__(self, shape, blocks, hidden=()):
        super().__init__()
        height, width, channels = shape
        layers = []
        for out, kernel, pad, norm, activation, pool in blocks:
            layers.append(nn.Conv2d(channels, out, kernel, padding=pad))
            height, width, channels = height + 2 * pad - kernel + 1, width + 2 * pad - kernel + 1, out
            if norm != "none":
                layers.append(norm_layer(norm, channels, height, width))
            layers.append({"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "leakyrelu": lambda: nn.LeakyReLU(0.01)}[activation]())
            if pool != "none":
                layers.append({"avg": nn.AvgPool2d, "max": nn.MaxPool2d}[pool](2, 2))
                height, width = height // 2, width // 2
        layers.append(nn.Flatten())
        features = channels * height * width
        for out in hidden:
            layers += [nn.Linear(features, out), nn.ReLU()]
            features = out
        self.features = nn.Sequential(*layers)
        self.fc = nn.Linear(features, CLASSES)

    def forward(self, x):
        embedding = self.features(x)
        return self.fc(embedding), embedding


class BasicBlock(nn.Module):
    def __init__(self, channels, out, stride, norm):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out, 3, stride, 1, bias=False)
        self.norm1 = norm_layer(norm, out, 0, 0)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(out, out, 3, 1, 1, bias=False)
        self.norm2 = norm_layer(norm, out, 0, 0)
        self.shortcut = nn.Sequential()
        if stride != 1 or channels != out:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, out, 1, stride, bias=False), norm_layer(norm, out, 0, 0))
        self.relu2 = nn.ReLU()

    def forward(self, x):
        branch = self.norm2(self.conv2(self.relu1(self.norm1(self.conv1(x)))))
        return self.relu2(branch + self.shortcut(x))


class ResNet18(nn.Module):
    def __init__(self, shape, norm, width):
        super().__init__()
        height, _, channels = shape
        layers = [nn.Conv2d(channels, width, 3, 1, first_pad(3, height), bias=False), norm_layer(norm, width, 0, 0), nn.ReLU()]
        channels = width
        for stage in range(4):
            for block in range(2):
                out = width << stage
                layers.append(BasicBlock(channels, out, 2 if stage > 0 and block == 0 else 1, norm))
                channels = out
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.fc = nn.Linear(channels, CLASSES)

    def forward(self, x):
        embedding = self.features(x)
        return self.fc(embedding), embedding


def conv_net(shape, depth, width, norm="instance", activation="relu", pooling="avg"):
    pads = [first_pad(3, shape[0])] + [1] * (depth - 1)
    return Plain(shape, [(width, 3, pad, norm, activation, pooling) for pad in pads])


def alex_net(shape, width):
    w, wide = width, 3 * width // 2
    plan = [(w, 5, first_pad(5, shape[0]), "max"), (wide, 5, 2, "max"), (2 * w, 3, 1, "none"), (wide, 3, 1, "none"), (wide, 3, 1, "max")]
    return Plain(shape, [(out, k, pad, "none", "relu", pool) for out, k, pad, pool in plan])


def vgg11(shape, norm, width):
    plan = [(1, "max"), (2, "max"), (4, "none"), (4, "max"), (8, "none"), (8, "max"), (8, "none"), (8, "max")]
    pads = [first_pad(3, shape[0])] + [1] * 7
    return Plain(shape, [(times * width, 3, pad, norm, "relu", pool) for (times, pool), pad in zip(plan, pads)])


def le_net(shape):
    return Plain(shape, [(6, 5, 2 if shape[0] == 28 else 0, "none", "relu", "max"), (16, 5, 0, "none", "relu", "max")], (120, 84))


SMALL = (8, 8, 2)
# file name: (network, options as the TypeScript functions take them, image [H, W, C], model)
CASES = {
    **{
        name: ("convNet", {"depth": 2, "width": 4, **options}, shape, lambda s, o: conv_net(s, **o))
        for name, options, shape in [
            ("convnet_instance", {"depth": 3}, SMALL),
            ("convnet_batch", {"norm": "batch"}, SMALL),
            ("convnet_layer", {"norm": "layer"}, SMALL),
            ("convnet_layer_odd", {"norm": "layer", "depth": 1}, (7, 5, 2)),
            ("convnet_group", {"norm": "group", "width": 8}, SMALL),
            ("convnet_none", {"norm": "none"}, SMALL),
            ("convnet_sigmoid", {"activation": "sigmoid"}, SMALL),
            ("convnet_leakyrelu_batch", {"activation": "leakyrelu", "norm": "batch"}, SMALL),
            ("convnet_max", {"pooling": "max"}, SMALL),
            ("convnet_no_pooling", {"pooling": "none"}, SMALL),
            ("convnet_28", {"width": 2}, (28, 28, 1)),
        ]
    },
    "alexnet": ("alexNet", {"width": 4}, (16, 12, 3), lambda s, o: alex_net(s, **o)),
    "vgg11": ("vgg11", {"norm": "instance", "width": 2}, (28, 28, 1), lambda s, o: vgg11(s, **o)),
    "vgg11_bn": ("vgg11", {"norm": "batch", "width": 2}, (28, 28, 1), lambda s, o: vgg11(s, **o)),
    "resnet18": ("resNet18", {"norm": "instance", "width": 2}, (16, 16, 2), lambda s, o: ResNet18(s, **o)),
    "resnet18_bn": ("resNet18", {"norm": "batch", "width": 2}, (16, 16, 2), lambda s, o: ResNet18(s, **o)),
    "lenet": ("leNet", {}, (20, 20, 1), lambda s, o: le_net(s)),
    "mlp": ("mlp", {"depth": 3, "width": 8}, (4, 5, 2), lambda s, o: Plain(s, [], (o["width"],) * (o["depth"] - 1))),
}


class Grid:
    """Random whole numbers over a divisor, and their float64 tensors."""

    def __init__(self, seed):
        self.random = np.random.RandomState(seed)

    def draw(self, shape, bound, divisor, center=0.0):
        numbers = np.rint((center + bound * self.random.uniform(-1, 1, shape)) * divisor).astype(int)
        stored = {"shape": list(shape), "divisor": divisor, "data": numbers.ravel().tolist()}
        return stored, torch.from_numpy(numbers / divisor)


def fill(model, grid):
    """Draws parameters and running statistics; returns them as stored, in the order of the model's registration."""
    parameters, state = [], []
    for name, parameter in model.named_parameters():
        owner = model.get_submodule(name.rsplit(".", 1)[0])
        is_norm = isinstance(owner, (nn.GroupNorm, nn.LayerNorm, nn.BatchNorm2d))
        if is_norm:
            stored, values = grid.draw(tuple(parameter.shape), 0.5, WEIGHT_DIVISOR, 1.0 if name.endswith("weight") else 0.0)
        else:
            fan_in = parameter[0].numel() if parameter.dim() > 1 else 8
            stored, values = grid.draw(tuple(parameter.shape), math.sqrt(6 / fan_in), WEIGHT_DIVISOR)
        parameter.data.copy_(values)
        parameters.append(stored)
    for name, buffer in model.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            stored, values = grid.draw(tuple(buffer.shape), 0.5, WEIGHT_DIVISOR, 1.0 if name.endswith("var") else 0.0)
            buffer.copy_(values)
            state.append(stored)
    return parameters, state


def watch_margin(model):
    """Smallest distance from a kink seen in forward passes, in a one-element list."""
    smallest = [math.inf]

    def relu(_, inputs, __):
        smallest[0] = min(smallest[0], inputs[0].detach().abs().min().item())

    def max_pool(_, inputs, __):
        n, c, h, w = inputs[0].shape
        windows = F.unfold(inputs[0].detach().reshape(n * c, 1, h, w), 2, stride=2)
        top = windows.topk(2, dim=1).values
        gaps = (top[:, 0] - top[:, 1])[top[:, 0] > 0]
        if gaps.numel():
            smallest[0] = min(smallest[0], gaps.min().item())

    for module in model.modules():
        if isinstance(module, (nn.ReLU, nn.LeakyReLU)):
            module.register_forward_hook(relu)
        if isinstance(module, nn.MaxPool2d):
            module.register_forward_hook(max_pool)
    return smallest


def rounded(tensor):
    """11 significant digits: a thousand times finer than the float64 tolerance, and half the bytes of the full numbers."""
    values = tensor.detach()
    return {"shape": list(values.shape), "data": [float("%.11g" % v) for v in values.ravel().tolist()]}


def make_case(network, options, shape, build, seed):
    height, width, channels = shape
    grid = Grid(seed)
    model = build(shape, options).double().train()
    parameters, state = fill(model, grid)
    rows = 3 if height < 16 else 2
    stored_x, x = grid.draw((rows, channels, height, width), 1.5, PIXEL_DIVISOR)
    stored_cotangent, cotangent = grid.draw((rows, CLASSES), 1.0, WEIGHT_DIVISOR)
    margin = watch_margin(model)

    def results():
        leaf = x.clone().requires_grad_()
        logits, embedding = model(leaf)
        gradient = torch.autograd.grad((cotangent * logits).sum(), leaf)[0]
        return {"logits": rounded(logits), "embedding": rounded(embedding), "grad_x": rounded(gradient)}

    expected = {"train": results()}
    if state:
        buffers = [b for n, b in model.named_buffers() if n.endswith(("running_mean", "running_var"))]
        expected["state"] = [rounded(b) for b in buffers]
        model.eval()
        expected["eval"] = results()
    net = {"network": network, "options": options, "input": list(shape), "classes": CLASSES}
    case = {"net": net, "parameters": parameters, "state": state, "x": stored_x, "cotangent": stored_cotangent, "expected": expected}
    return margin[0], case


def main():
    os.makedirs(OUT, exist_ok=True)
    for name, (network, options, shape, build) in CASES.items():
        for seed in range(1000):
            margin, case = make_case(network, options, shape, build, seed)
            if margin > MARGIN:
                break
        else:
            raise SystemExit(f"{name}: no seed keeps away from the kinks")
        with open(os.path.join(OUT, f"{name}.json"), "w") as file:
            json.dump(case, file, separators=(",", ":"))
            file.write("\n")
        print(f"{name}: seed {seed}, margin {margin:.1e}, {os.path.getsize(file.name)} bytes")


if __name__ == "__main__":
    main()

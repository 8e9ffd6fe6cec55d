"""Writes test/golden/data/matching/dc_steps*.json: whole iterations of gradient matching (DC), float64, from PyTorch.

Weights and images are those of dc_layer_cosine.json. Three matching steps (all classes, one SGD step with momentum on the pixels); after
each but the last the network trains on the synthetic images, in the stated batches (rows of `syn`, the last one of an epoch short).
With batch norm the stated rows of `real` move the running statistics before each matching step, which then uses them.

    python3 test/golden/generate/gradient_steps.py        (PyTorch 1.13; seconds)
"""
import json
import os

import torch
import torch.nn.functional as F

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "data", "matching")
torch.set_default_dtype(torch.float64)
IMAGE_LR, MOMENTUM, NETWORK_LR = 0.1, 0.5, 0.02
BATCHES = [[[4, 0, 3, 1], [5, 2], [2, 5, 1, 0], [3, 4]], [[0, 2, 4, 5], [1, 3], [5, 4, 3, 2], [1, 0]]]
STATISTICS = [[0, 2, 4, 6, 8, 10], [1, 2, 5, 6, 9, 11], [3, 0, 7, 4, 8, 9]]


def tensor(entry):
    return torch.tensor(entry["data"]).reshape(entry["shape"])


def entry(x):
    return {"shape": list(x.shape), "data": [float(f"{v:.15g}") for v in x.detach().reshape(-1).tolist()]}


def forward(w, state, x, norm, mode):
    """Logits; in train mode with batch norm the running statistics move (momentum 0.1, unbiased variance)."""
    margins = []
    for d in range(3):
        x = F.conv2d(x, w[f"conv{d}.weight"], w[f"conv{d}.bias"], padding=1)
        gamma, beta = w[f"norm{d}.gamma"], w[f"norm{d}.beta"]
        if norm == "instance":
            x = F.group_norm(x, x.shape[1], gamma, beta, eps=1e-5)
        else:
            mean, variance = state[f"norm{d}.mean"], state[f"norm{d}.variance"]
            x = F.batch_norm(x, mean, variance, gamma, beta, training=mode == "train", momentum=0.1, eps=1e-5)
        margins.append(x.detach().abs().min().item())
        x = F.avg_pool2d(F.relu(x), 2)
    forward.margin = min([forward.margin] + margins)
    return F.linear(x.flatten(1), w["fc.weight"], w["fc.bias"])


def gradients(w, state, x, label, norm, create_graph):
    target = torch.full((x.shape[0],), label)
    loss = F.cross_entropy(forward(w, state, x, norm, "eval"), target)
    return torch.autograd.grad(loss, list(w.values()), create_graph=create_graph)


def distance(metric, names, layers, synthetic, real):
    """Layer n: the n-th weight and the vectors behind it."""
    kept, layer = [], 0
    for name, a, b in zip(names, synthetic, real):
        layer += name.endswith("weight")
        if layer in layers:
            kept.append((a, b))
    if metric == "mse":
        return sum(((a - b) ** 2).sum() for a, b in kept)
    total = torch.zeros(())
    for a, b in kept:
        if a.dim() > 1:
            a, b = a.flatten(1), b.flatten(1)
            total = total + (1 - (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1) + 1e-6)).sum()
    return total


def run(name, norm, metric, layers, image_lr=IMAGE_LR):
    source = json.load(open(os.path.join(DATA, "dc_layer_cosine.json")))
    w = {key: tensor(value).requires_grad_(True) for key, value in source["weights"].items()}
    state = {}
    if norm == "batch":
        for d in range(3):
            state[f"norm{d}.mean"], state[f"norm{d}.variance"] = torch.zeros(8), torch.ones(8)
    real, syn = tensor(source["inputs"]["real"]), tensor(source["inputs"]["syn"]).requires_grad_(True)
    classes, per_class, ipc = 3, 4, 2
    velocity = torch.zeros_like(syn)
    losses = []
    forward.margin = 1.0
    for step in range(3):
        if norm == "batch":
            with torch.no_grad():
                forward(w, state, real[STATISTICS[step]], norm, "train")
        loss = torch.zeros(())
        for c in range(classes):
            g_real = gradients(w, state, real[c * per_class:(c + 1) * per_class], c, norm, False)
            g_syn = gradients(w, state, syn[c * ipc:(c + 1) * ipc], c, norm, True)
            loss = loss + distance(metric, list(w), layers, g_syn, g_real)
        losses.append(loss.item())
        (g,) = torch.autograd.grad(loss, syn)
        with torch.no_grad():
            velocity = MOMENTUM * velocity + g
            syn -= image_lr * velocity
        if step == 2:
            break
        for rows in BATCHES[step]:
            target = torch.tensor([row // ipc for row in rows])
            train_loss = F.cross_entropy(forward(w, state, syn.detach()[rows], norm, "train"), target)
            g = torch.autograd.grad(train_loss, list(w.values()))
            with torch.no_grad():
                for p, gp in zip(w.values(), g):
                    p -= NETWORK_LR * gp
    case = {
        "format": source["format"], "family": source["family"], "case": name, "dtype": "float64",
        "net": {**source["net"], "norm": norm}, "weights": source["weights"], "inputs": source["inputs"],
        "params": {
            "metric": metric, "layers": layers, "image_lr": image_lr, "momentum": MOMENTUM, "network_lr": NETWORK_LR,
            "train_batches": BATCHES, **({"statistics_rows": STATISTICS} if norm == "batch" else {}),
        },
        "expected": {
            "loss_of_step": losses, "syn_after": entry(syn),
            "weights_after": {key: entry(value) for key, value in w.items()},
            "state_after": {key: entry(value) for key, value in state.items()},
        },
        "checks": {"relu_margin": forward.margin},
    }
    with open(os.path.join(DATA, f"{name}.json"), "w") as f:
        json.dump(case, f, separators=(",", ":"))
    print(name, losses, "margin", forward.margin)


run("dc_steps", "instance", "layer_cosine", [1, 2, 3, 4])
run("dc_steps_batchnorm", "batch", "layer_cosine", [1, 2, 3, 4])
run("dc_steps_mse_layers", "instance", "mse", [2, 4], image_lr=1.0)

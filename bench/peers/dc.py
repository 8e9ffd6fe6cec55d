"""DC in PyTorch: one matching step at the shapes of the benches `dc` (--ipc 1) and `dc10` (--ipc 10), class by class.

    python3 bench/peers/dc.py --ipc 10 [--iters N] [--threads T]
    python3 bench/peers/dc.py --golden test/golden/data/matching/dc_layer_cosine.json
"""
from common import CLASSES, F, REAL, SIZE, apply, bench, check, options, parser, random_network, torch

parser.add_argument("--ipc", type=int, default=1)


def gradients(w, x, label, create_graph):
    loss = F.cross_entropy(apply(w, x)[2], torch.full((x.shape[0],), label))
    return torch.autograd.grad(loss, list(w.values()), create_graph=create_graph)


def layer_cosine(synthetic, real):
    """Per row of every tensor of two or more dimensions; biases, gamma and beta count nothing."""
    total = 0.0
    for a, b in zip(synthetic, real):
        if a.dim() > 1:
            a, b = a.flatten(1), b.flatten(1)
            total = total + (1 - (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1) + 1e-6)).sum()
    return total


def class_loss(w, real, syn, label):
    wanted = gradients(w, real, label, False)
    return layer_cosine(gradients(w, syn, label, True), wanted)


def of_golden(w, real, syn, case):
    if case["params"]["metric"] != "layer_cosine":
        raise SystemExit("expected a case with metric layer_cosine: the bench has no other")
    per_class, ipc = case["inputs"]["real_per_class"], case["inputs"]["ipc"]
    for p in w.values():
        p.requires_grad_(True)
    loss = 0.0
    for c in range(case["inputs"]["num_classes"]):
        loss = loss + class_loss(w, real[c * per_class:(c + 1) * per_class], syn[c * ipc:(c + 1) * ipc], c)
    return loss, torch.autograd.grad(loss, syn)[0]


def main():
    args = options()
    if args.golden:
        return check(args.golden, of_golden)
    real = torch.randn(CLASSES, REAL, 3, SIZE, SIZE)
    syn = torch.randn(CLASSES, args.ipc, 3, SIZE, SIZE, requires_grad=True)
    optimizer = torch.optim.SGD([syn], lr=0.1, momentum=0.5)

    def step():
        w = {name: p.requires_grad_(True) for name, p in random_network().items()}
        optimizer.zero_grad()
        total = 0.0
        for c in range(CLASSES):
            loss = class_loss(w, real[c], syn[c], c)
            (syn_gradient,) = torch.autograd.grad(loss, syn)
            syn.grad = syn_gradient if syn.grad is None else syn.grad + syn_gradient
            total += float(loss)
        optimizer.step()
        return total

    bench("dc" if args.ipc == 1 else f"dc{args.ipc}", step, args)


main()

"""ATOM and DataDAM in PyTorch: one step at the shapes of the benches `atom` and `datadam`, class by class.

    python3 bench/peers/attention.py atom [--iters N] [--threads T]
    python3 bench/peers/attention.py datadam --golden test/golden/data/matching/datadam_p4.json
"""
from common import CLASSES, IPC, REAL, SIZE, apply, bench, check, options, parser, random_network, torch

parser.add_argument("method", choices=["atom", "datadam"])
GAIN, LAMBDA, POWER = 100, 0.01, 4


def unit(a):
    return a / a.norm(dim=1, keepdim=True).clamp_min(1e-12)


def features(maps, embedding, settings):
    """[weight, mean over the batch] of every matched feature."""
    found = [(settings["lambda"], embedding.mean(0))]
    for f in maps[:-1]:
        if settings["w_spatial"]:
            found.append((settings["w_spatial"], unit(f.pow(settings["p_spatial"]).sum(1).flatten(1)).mean(0)))
        if settings["w_channel"]:
            found.append((settings["w_channel"], unit(f.pow(settings["p_channel"]).sum((2, 3))).mean(0)))
    return found


def class_loss(w, real, syn, settings):
    with torch.no_grad():
        maps, embedding, _ = apply(w, real)
        wanted = features(maps, embedding, settings)
    maps, embedding, _ = apply(w, syn)
    terms = zip(wanted, features(maps, embedding, settings))
    return settings["gain"] * sum(weight * ((a - b) ** 2).sum() for (weight, a), (_, b) in terms)


def of_golden(w, real, syn, case):
    per_class, ipc = case["inputs"]["real_per_class"], case["inputs"]["ipc"]
    classes = case["inputs"]["num_classes"]
    if case["net"]["norm"] != "instance":
        raise SystemExit("expected a case with instance norm: the bench has no other")
    sides = ((real[c * per_class:(c + 1) * per_class], syn[c * ipc:(c + 1) * ipc]) for c in range(classes))
    loss = sum(class_loss(w, a, b, case["params"]) for a, b in sides)
    return loss, torch.autograd.grad(loss, syn)[0]


def main():
    args = options()
    if args.golden:
        return check(args.golden, of_golden)
    channel = 1 if args.method == "atom" else 0
    settings = {"w_spatial": 1, "w_channel": channel, "p_spatial": POWER, "p_channel": POWER, "lambda": LAMBDA, "gain": GAIN}
    real = torch.randn(CLASSES, REAL, 3, SIZE, SIZE)
    syn = torch.randn(CLASSES, IPC, 3, SIZE, SIZE, requires_grad=True)
    optimizer = torch.optim.SGD([syn], lr=1.0, momentum=0.5)

    def step():
        w = random_network()
        optimizer.zero_grad()
        total = 0.0
        for c in range(CLASSES):
            loss = class_loss(w, real[c], syn[c], settings)
            loss.backward()
            total += float(loss)
        optimizer.step()
        return total

    bench(args.method, step, args)


main()

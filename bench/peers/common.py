"""What the PyTorch peers share: the ConvNet as a function, timing in the form that bench:compare reads, and the check against golden vectors."""
import argparse
import json
import os
import resource
import statistics
import time

parser = argparse.ArgumentParser()
parser.add_argument("--iters", type=int, default=3)
parser.add_argument("--warmup", type=int, default=1)
parser.add_argument("--threads", type=int, default=os.cpu_count())
parser.add_argument("--golden", metavar="FILE", help="check loss and pixel gradient against a golden case instead of timing")

os.environ.setdefault("OMP_NUM_THREADS", str(parser.parse_known_args()[0].threads))
import torch
import torch.nn.functional as F

CLASSES, REAL, IPC, WIDTH, SIZE = 10, 256, 10, 128, 32


def options():
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64 if args.golden else torch.float32)
    return args


def random_network():
    """PyTorch's default initialisation: uniform in +-1/sqrt(fan in); gamma 1, beta 0."""
    weights, inputs = {}, 3
    for d in range(3):
        bound = (9 * inputs) ** -0.5
        weights[f"conv{d}.weight"] = torch.empty(WIDTH, inputs, 3, 3).uniform_(-bound, bound)
        weights[f"conv{d}.bias"] = torch.empty(WIDTH).uniform_(-bound, bound)
        weights[f"norm{d}.gamma"], weights[f"norm{d}.beta"] = torch.ones(WIDTH), torch.zeros(WIDTH)
        inputs = WIDTH
    features = WIDTH * (SIZE // 8) ** 2
    weights["fc.weight"] = torch.empty(CLASSES, features).uniform_(-features**-0.5, features**-0.5)
    weights["fc.bias"] = torch.empty(CLASSES).uniform_(-features**-0.5, features**-0.5)
    return weights


def apply(w, x, norm="instance"):
    """ReLU maps of the three blocks before pooling, the embedding, and the logits."""
    maps = []
    for d in range(3):
        x = F.conv2d(x, w[f"conv{d}.weight"], w[f"conv{d}.bias"], padding=1)
        gamma, beta = w[f"norm{d}.gamma"], w[f"norm{d}.beta"]
        x = F.group_norm(x, x.shape[1], gamma, beta) if norm == "instance" else F.batch_norm(x, None, None, gamma, beta, training=True)
        maps.append(F.relu(x))
        x = F.avg_pool2d(maps[-1], 2)
    embedding = x.flatten(1)
    return maps, embedding, F.linear(embedding, w["fc.weight"], w["fc.bias"])


def tensor(entry):
    return torch.tensor(entry["data"], dtype=torch.float64).reshape(entry["shape"])


def check(path, gradient_of):
    """`gradient_of(weights, real, syn, case)` gives (loss, pixel gradient); prints their errors and fails above 1e-9 and 1e-8."""
    with open(path) as file:
        case = json.load(file)
    weights = {name: tensor(entry) for name, entry in case["weights"].items()}
    loss, gradient = gradient_of(weights, tensor(case["inputs"]["real"]), tensor(case["inputs"]["syn"]).requires_grad_(True), case)
    expected = case["expected"]
    wanted_loss, wanted = expected.get("loss", expected.get("distance")), tensor(expected["grad_syn"])
    loss_error = abs(float(loss) - wanted_loss) / abs(wanted_loss)
    gradient_error = float((gradient - wanted).abs().max() / wanted.abs().max())
    print(json.dumps({"golden": os.path.basename(path), "loss_error": loss_error, "gradient_error": gradient_error}))
    if not (loss_error <= 1e-9 and gradient_error <= 1e-8):
        raise SystemExit(1)


def bench(name, step, args):
    """One JSON line; `step` returns the scalar of the step."""
    for _ in range(args.warmup):
        step()
    seconds = []
    for _ in range(args.iters):
        start = time.perf_counter()
        value = float(step())
        seconds.append(time.perf_counter() - start)
    print(json.dumps({
        "engine": f"pytorch-{torch.__version__}", "name": name, "median_s": round(statistics.median(seconds), 4),
        "best_s": round(min(seconds), 4), "iters": args.iters, "threads": args.threads, "value": value,
        "peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }))

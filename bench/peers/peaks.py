"""What PyTorch reaches on the GPU: bytes of a copy and operations of square products of 8192, as one JSON line."""
import json
import sys
import time

import torch

if not torch.cuda.is_available():
    sys.exit("peaks.py: torch sees no GPU")


def seconds(work, repeats=10):
    for _ in range(3):
        work()
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        work()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeats


x = torch.randn(1 << 28, device="cuda")
y = torch.empty_like(x)
result = {"name": "torch-peaks", "torch": torch.__version__, "gpu": torch.cuda.get_device_name(0)}
result["copy_gbyte_s"] = round(2 * x.numel() * 4 / seconds(lambda: y.copy_(x)) / 1e9, 1)
del x, y
size = 8192
a, b = torch.randn(size, size, device="cuda"), torch.randn(size, size, device="cuda")
for name, tf32, dtype in [("f32", False, torch.float32), ("tf32", True, torch.float32), ("bf16", True, torch.bfloat16)]:
    torch.backends.cuda.matmul.allow_tf32 = tf32
    m, n = a.to(dtype), b.to(dtype)
    result[f"{name}_tflop_s"] = round(2 * size**3 / seconds(lambda: m @ n) / 1e12, 1)
print(json.dumps(result))

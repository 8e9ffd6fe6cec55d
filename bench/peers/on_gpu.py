"""Runs a PyTorch bench written for the CPU on the GPU: python3 bench/peers/on_gpu.py [--compile] SCRIPT [ARGS]. New tensors are on the GPU, TF32 is
allowed as it is here by default, and clocks wait for the device. --compile: the network's methods go through torch.compile.
"""
import os
import runpy
import sys
import time

arguments = sys.argv[1:]
compiled = "--compile" in arguments
arguments = [a for a in arguments if a != "--compile"]
script = os.path.abspath(arguments[0])
sys.argv = arguments
sys.path.insert(0, os.path.dirname(script))

import torch

if not torch.cuda.is_available():
    sys.exit("on_gpu.py: torch sees no GPU")
torch.set_default_device("cuda")
torch.backends.cuda.matmul.allow_tf32 = True
torch.backends.cudnn.allow_tf32 = True
torch.backends.cudnn.benchmark = True
clock = time.perf_counter


def waiting_clock():
    torch.cuda.synchronize()
    return clock()


time.perf_counter = waiting_clock

if compiled:
    import torch.nn as nn

    # A class body that defines embed() or forward() is the network: every one made from now on has them compiled.
    plain_init_subclass = nn.Module.__init_subclass__

    def init_subclass(cls, **kwargs):
        plain_init_subclass(**kwargs)
        if cls.__module__.startswith("torch."):
            return
        for name in ("embed", "forward"):
            if name in cls.__dict__:
                setattr(cls, name, torch.compile(cls.__dict__[name]))

    nn.Module.__init_subclass__ = classmethod(init_subclass)

runpy.run_path(script, run_name="__main__")

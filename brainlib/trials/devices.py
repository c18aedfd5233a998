"""What of this machine a run uses: how many models it trains at a time, and the threads and the GPU of each.

A *place* is the environment of a process that trains one model after another. It is decided by the machine alone,
neither by what else runs on it nor by the number of models: the same seed then has the same number of threads, on
which the last digits of a prediction depend.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import socket
import subprocess
import sys
from functools import cache

from brainlib import progress
from brainlib.errors import UsageError
from brainlib.trials import processes

#: What decides the number of places, as an option's help.
RULE = (
    "number of models trained at a time; by default one a GPU, else one a core, as far as memory allows (4 GiB each), "
    "at most 8"
)
#: In the environment of a place, the number of places.
AT_A_TIME = "BRAINLIB_MODELS_AT_A_TIME"
#: Memory that one model may take, in bytes (3.7 GiB: all layers of ResNet50, 224 pixels, batches of 32), and the most
#: models that are trained at a time on processors.
_PER_MODEL, _MOST = 4 * 2**30, 8
#: Virtual memory, in bytes, that processes of a smoke run take, most of it never used: they failed with 3 GiB.
_ADDRESSES = 4 * 2**30


def check() -> None:
    """Raise UsageError for what libraries fail from later, each in its own way: Python's options, loopback, memory."""
    if sys.flags.optimize > 1:
        raise UsageError("PYTHONOPTIMIZE: expected 0 or 1, received 2, by which libraries lack texts that they need")
    try:
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(server.getsockname(), timeout=5).close()
    except OSError as error:
        needed = "expected an address of this machine, by which notebooks and workers talk"
        raise UsageError(f"127.0.0.1: {needed}; received {error.strerror or error}; ip link set lo up") from None
    with contextlib.suppress(ImportError):
        import resource  # not on Windows

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY and limit < _ADDRESSES:
            needed = f"expected a limit of {_ADDRESSES / 2**30:.0f} GiB of virtual memory or none"
            raise UsageError(f"{needed}, received {limit / 2**30:.1f} GiB; raise it (ulimit -v, prlimit --as)")


def places(jobs: int | None = None) -> list[dict[str, str]]:
    """Return the environment of each of `jobs` places; processors and GPUs are divided among them (see `RULE`)."""
    from dask.system import CPU_COUNT  # both heed the limits of a container
    from distributed.system import MEMORY_LIMIT

    found = gpus()
    count = jobs or len(found) or max(1, min(CPU_COUNT, MEMORY_LIMIT // _PER_MODEL, _MOST))
    threads = str(max(1, CPU_COUNT // count))
    shared = {"TF_NUM_INTRAOP_THREADS": threads, "OMP_NUM_THREADS": threads, AT_A_TIME: str(count)}
    bound = [{"CUDA_VISIBLE_DEVICES": name} for name in found] or [{}]
    return [shared | bound[number % len(bound)] for number in range(count)]


def gpus() -> list[str]:
    """Return the NVIDIA GPUs that TensorFlow can use here, by the names that CUDA_VISIBLE_DEVICES takes.

    Where that variable is set, only what it lists counts; as CUDA does, what follows an empty name or -1 is ignored.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        names = _listed()
    else:
        names = list(itertools.takewhile(lambda name: name not in ("", "-1"), map(str.strip, visible.split(","))))
    return _usable(tuple(names))


def _listed():
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    # A GPU that is divided is used by its parts. Numbers would not do: CUDA counts in another order.
    return re.findall(r"UUID: (MIG-[^)]+)", done.stdout) or re.findall(r"UUID: (GPU-[^)]+)", done.stdout)


@cache
def _usable(names: tuple[str, ...]) -> list[str]:
    """Ask TensorFlow for each GPU in a process of its own, which alone it is visible to."""
    alone = [{"CUDA_VISIBLE_DEVICES": name} for name in names]
    seen = [processes.run_all(_count, [()], [place], lambda *values: None)[0] for place in alone]
    found = [name for name, count in zip(names, seen, strict=True) if count]
    if len(found) < len(names):
        progress.log(f"{len(names)} GPUs are listed and TensorFlow uses {len(found)}: docs/gpu.md says what it needs")
    return found


def _count(report):
    from brainlib.models._tensorflow import tf

    return len(tf.config.list_physical_devices("GPU"))

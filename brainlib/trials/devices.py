"""What of this machine a run uses: how many models it trains at a time, and the threads and the GPU of each.

A *place* is the environment of a process that trains one model after another. It is decided by the machine alone,
neither by what else runs on it nor by the number of models: the same seed then has the same number of threads, on
which the last digits of a prediction depend.
"""

from __future__ import annotations

#: What decides the number of places, as an option's help.
RULE = "number of models trained at a time; by default one a core, as far as memory allows (4 GiB each), at most 8"
#: Memory that one model may take, in bytes, and the most models that are trained at a time.
_PER_MODEL, _MOST = 4 * 2**30, 8


def places(jobs: int | None = None) -> list[dict[str, str]]:
    """Return the environment of each process that trains at the same time as the others.

    Parameters
    ----------
    jobs : int, optional
        Number of places. By default one for each processor that this process may use, as far as memory allows
        (4 GiB a model), and at most eight. The processors are divided among them.
    """
    from dask.system import CPU_COUNT  # both heed the limits of a container
    from distributed.system import MEMORY_LIMIT

    count = jobs or max(1, min(CPU_COUNT, MEMORY_LIMIT // _PER_MODEL, _MOST))
    threads = str(max(1, CPU_COUNT // count))
    return [{"TF_NUM_INTRAOP_THREADS": threads, "OMP_NUM_THREADS": threads} for _ in range(count)]

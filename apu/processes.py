"""Work for several processes of one thread each: a fit's matrices are too small for more threads."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import get_context
from typing import Any

from apu.errors import InputError

_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def processes(count: int, prepare: Callable[..., None], *given: Any) -> Iterator[ProcessPoolExecutor]:
    """Processes that begin afresh: a forked one would share its parent's memory and, with PyTorch, its locks.

    Args:
        prepare: called with what is `given` in each of them; a function of a module, for they must find it.

    Raises:
        InputError: a process ended by itself.
    """
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))  # libraries read it when they are loaded
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=prepare, initargs=given)
    try:
        yield pool
    except BrokenProcessPool as error:
        raise InputError(
            f"a process ended by itself, perhaps for lack of memory; take fewer than {count} --jobs"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})

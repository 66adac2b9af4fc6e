"""How much memory something takes: the most that the process held while it ran, as the operating system counts it."""

import ctypes
import re
from pathlib import Path

import torch

_MB = 1e6
_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """Peaks above what was held when the meter was made, megabytes.

    On the CPU, resident memory of the whole process: native libraries and their pools too, which tracemalloc does not
    see. Only Linux can forget an earlier peak; elsewhere nothing is measured. On a GPU, what PyTorch allocated there.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._baseline = self._read("VmRSS")

    def begin(self) -> None:
        """Forget earlier peaks, and give back what earlier work has freed."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        elif _CLEAR.exists():
            if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
                trim(0)
            _CLEAR.write_text("5")

    def peak_mb(self) -> float | None:
        """The most held since `begin`, above the baseline; None where the system does not tell."""
        peak = self._read("VmHWM")
        return None if peak is None or self._baseline is None else max(peak - self._baseline, 0.0) / _MB

    def _read(self, field: str) -> float | None:
        if self._device.type == "cuda":
            return float(torch.cuda.max_memory_allocated(self._device))
        found = re.search(rf"{field}:\s*(\d+) kB", _STATUS.read_text()) if _CLEAR.exists() else None
        return float(found[1]) * 1024 if found else None

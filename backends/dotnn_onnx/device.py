"""Which device a session runs on and how many threads it takes; what is missing where CUDA is asked for."""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path
from typing import Any

from dotnn_grammar.problems import Problem


class NoCuda(Problem):
    code = "X002"
    title = "CUDA cannot be used here: {why}"
    help = "{advice}; or take `--device cpu`"
    why: str
    advice: str


class NoSuchDevice(Problem):
    code = "X003"
    title = "there is no device called `{name}`"
    help = "take `cpu`, `cuda`, or `auto` (CUDA where it is there, else the CPU)"
    name: str


def choose(wanted: str) -> str:
    """`cpu` or `cuda` for what was asked: `cpu`, `cuda` or `auto`. Raises ``ProblemError`` where it is not there."""
    if wanted not in ("cpu", "cuda", "auto"):
        raise NoSuchDevice(name=wanted).error()
    if wanted == "cpu":
        return "cpu"
    missing = _missing_for_cuda()
    if missing is None:
        return "cuda"
    if wanted == "auto":
        return "cpu"
    raise missing.error()


def _missing_for_cuda() -> NoCuda | None:
    import onnxruntime as ort

    if "CUDAExecutionProvider" not in ort.get_available_providers():
        both = {name for name in ("onnxruntime", "onnxruntime-gpu") if _installed(name)}
        if len(both) == 2:
            return NoCuda(
                why="both onnxruntime and onnxruntime-gpu are installed, and the one without CUDA came out on top",
                advice="`pip uninstall onnxruntime onnxruntime-gpu`, then `pip install onnxruntime-gpu`",
            )
        return NoCuda(why="this build of onnxruntime has no CUDA", advice="install `onnxruntime-gpu`")
    if not _has_gpu():
        return NoCuda(why="no NVIDIA GPU is to be seen", advice="check the driver with `nvidia-smi`")
    return None


def _installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _has_gpu() -> bool:
    import onnxruntime as ort

    try:
        found = ort.get_ep_devices()
    except Exception:  # no build promises this list
        return Path("/dev/nvidiactl").exists()
    return Path("/dev/nvidiactl").exists() or any(d.ep_name == "CUDAExecutionProvider" for d in found)


def providers(device: str) -> list[Any]:
    """Execution providers for a device of ``choose``."""
    if device == "cpu":
        return ["CPUExecutionProvider"]
    import onnxruntime as ort

    ort.preload_dlls()
    return [("CUDAExecutionProvider", {"cudnn_conv_algo_search": "HEURISTIC"}), "CPUExecutionProvider"]


def cores() -> int:
    """Physical cores that this process may use: two threads on one core get in each other's way in a product."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    try:
        siblings = {
            Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text() for cpu in allowed
        }
    except OSError:
        return max(1, len(allowed))
    return max(1, len(siblings))

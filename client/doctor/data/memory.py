"""Do the prepared data fit: the device's memory, and the cache?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from client.doctor.findings import Finding, Patient, amber, green, red

if TYPE_CHECKING:
    import torch

SHARE = 0.8
"""Of the free memory; the rest is for the model and its gradients."""
LEAST_GPU = 2 << 30
CACHE_OVERHEAD = 1.05


def check(patient: Patient) -> Iterator[Finding]:
    """Compare the cohort with what is free."""
    look = patient.look
    if look is None or look.cohort is None:
        return
    from client.training.workspace import choose_device

    cohort = look.cohort
    need = cohort.inputs.nbytes * cohort.count("train") // max(1, cohort.samples)
    device = choose_device(patient.site.compute.device)
    free, what = _free(device)
    if free is None:
        yield green(f"the training samples take {gib(need)}")
    elif need > SHARE * free:
        yield red(
            f"The training samples take {gib(need)}; {what} has {gib(free)} free.",
            "End other programs, use a machine with more memory, or ask for a smaller image_size or "
            "max_samples_per_patient.",
        )
    elif device.type == "cuda" and free < LEAST_GPU:
        yield amber(f"{what} has only {gib(free)} free.", "See with 'nvidia-smi' who uses it.")
    else:
        yield green(f"the training samples take {gib(need)}; {what} has {gib(free)} free")
    limit = patient.site.compute.cache_gib * 2**30
    if limit and cohort.inputs.nbytes * CACHE_OVERHEAD > limit:
        yield amber(
            f"The prepared data ({gib(cohort.inputs.nbytes)}) do not fit the cache: every start prepares them anew.",
            "Raise [compute] cache_gib.",
        )


def _free(device: torch.device) -> tuple[int | None, str]:
    if device.type == "cuda":
        import torch

        free, total = torch.cuda.mem_get_info(device)
        return int(free), f"{torch.cuda.get_device_name(device)} ({gib(total)})"
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None, ""
    words = next((line.split() for line in lines if line.startswith("MemAvailable")), None)
    return (int(words[1]) << 10, "this machine") if words else (None, "")


def gib(size: float) -> str:
    """Return a size for people."""
    return f"{size / 2**30:.1f} GiB" if size >= 2**29 else f"{size / 2**20:.1f} MiB"

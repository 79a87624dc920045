"""Decoders of compressed images: which are installed, and which the archive needs."""

from __future__ import annotations

from collections.abc import Iterator

from client.doctor.findings import Finding, Patient, amber, green

PLUG_INS = {
    "gdcm": ("python-gdcm", "JPEG and JPEG 2000"),
    "jpeg_ls": ("pyjpegls", "JPEG-LS"),
}


def check(patient: Patient) -> Iterator[Finding]:
    """Look for the decoders where there are images."""
    if not any(config.kind == "dicom" for config in patient.site.datasets.values()):
        return
    missing = [
        amber(f"{name} is not installed: images in {what} are left out.", f"pip install {name}")
        for module, (name, what) in PLUG_INS.items()
        if not _works(module)
    ]
    yield from missing or [green("the decoders of compressed images are installed")]
    if not _dcmtk():
        yield green(
            "DCMTK is not installed; only JPEG with 12 bits and two retired encodings need it"
        )


def _works(module: str) -> bool:
    """Import: a plug-in that is there but whose library does not load is as good as none."""
    from importlib import import_module

    try:
        import_module(module)
    except Exception:  # a broken library raises many kinds
        return False
    return True


def _dcmtk() -> bool:
    from client.data.dicom import dcmtk

    return dcmtk.installed()

"""What reads compressed images and molecules: which packages are installed, and which the data need."""

from __future__ import annotations

from collections.abc import Iterator

from client.doctor.findings import Finding, Patient, amber, green, red

PLUG_INS = {
    "gdcm": ("python-gdcm", "JPEG and JPEG 2000"),
    "jpeg_ls": ("pyjpegls", "JPEG-LS"),
}


def check(patient: Patient) -> Iterator[Finding]:
    """Look for the decoders where there are images, and for RDKit where there are molecules."""
    from client.data.config import members

    datasets = patient.site.datasets.items()
    kinds = {part.kind for name, config in datasets for part in members(name, config).values()}
    if "molecules" in kinds:
        yield _chemistry()
    if "dicom" in kinds:
        yield from _decoders()


def _chemistry() -> Finding:
    if _works("rdkit.Chem"):
        return green("rdkit, which reads molecules, is installed")
    return red("rdkit is not installed: no molecule can be read.", "Install consilium[molecules].")


def _decoders() -> Iterator[Finding]:
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

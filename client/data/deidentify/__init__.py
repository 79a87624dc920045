"""Copies of DICOM files without identity, by the basic profile of PS3.15 Annex E."""

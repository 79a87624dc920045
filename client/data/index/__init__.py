"""The index of a folder of DICOM files: what each holds, read once and kept in the site's private folder.

It is the only place on disk that holds patients' identifiers (beside the files themselves), and only its owner may
read it. Nothing of it leaves the house.
"""

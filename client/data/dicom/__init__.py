"""DICOM: the index of the files, their pixels, and the samples made of them."""

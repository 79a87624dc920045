"""Fetching images from the hospital's PACS into the site's private archive, by DICOMweb or by DIMSE."""

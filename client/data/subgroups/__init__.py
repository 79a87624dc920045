"""Which of a study's public subgroups each patient belongs to, from the columns of a site's data or DICOM headers."""

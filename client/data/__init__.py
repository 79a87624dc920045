"""The hospital's data: sources that read it, and the cohort that training sees."""

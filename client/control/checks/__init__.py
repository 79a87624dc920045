"""What is looked at to tell whether the site can make progress; one file a kind of trouble."""

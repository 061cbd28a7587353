"""The errors a person can cause. Their message says what is wrong, where, and what to do."""


class LandscapeError(Exception):
    """An input or an option is wrong."""


class LandscapeFileError(LandscapeError):
    """A file is missing, damaged, or not what it should be."""

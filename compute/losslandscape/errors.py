"""Errors that a user can cause. The command line prints only their message, not a traceback."""


class LossLandscapeError(Exception):
    """Something is wrong with the user's input or the environment.

    The message says what is wrong, where, and what to do about it.
    """


class FileFormatError(LossLandscapeError):
    """A file is missing, damaged, or of the wrong format."""


class OutputExistsError(LossLandscapeError):
    """The output already exists and overwriting was not requested."""

"""The errors a user can cause. The command line prints their message alone, without a traceback."""


class LossLandscapeError(Exception):
    """Something in the user's input or surroundings is wrong.

    The message says what, where and what to do.
    """


class FileFormatError(LossLandscapeError):
    """A file is missing, damaged, or not what it should be."""


class OutputExistsError(LossLandscapeError):
    """The output is there already and overwriting was not asked for."""

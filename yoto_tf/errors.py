"""The ways in which a run can end early."""


class InputError(ValueError):
    """What the caller gave cannot be used; the message says what would be.

    The command lines turn it into one sentence and exit code 2. Every other
    exception is a fault of this library and keeps its traceback.
    """


class SaveError(OSError):
    """A file could not be written, as on a full disk; the old one, if there
    was one, is still there, whole."""


class TrainingDiverged(RuntimeError):
    """The loss stopped being a finite number, or one of the size of before."""

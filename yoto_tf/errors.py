"""The ways in which a run can end early."""


class InputError(ValueError):
    """What the caller gave cannot be used; the message says what would be.

    The command lines turn it into one sentence and exit code 2. Every other
    exception is a fault of this library and keeps its traceback.

    Example:
        try:
            yoto_tf.LogUniform(4.0, 2.0)
        except yoto_tf.InputError as error:  # a ValueError
            print(error)
    """


class SaveError(OSError):
    """A file could not be written, as on a full disk; the old one, if there
    was one, is still there, whole."""


class VerificationError(RuntimeError):
    """The C++ session does not answer as the Keras model does, or answers
    what it should refuse. Nothing is published then."""


class TrainingDiverged(RuntimeError):
    """The loss stopped being a finite number, or one of the size of before.

    Example:
        try:
            model.fit(images, callbacks=[yoto_tf.StopOnDivergence()])
        except yoto_tf.TrainingDiverged as error:
            print(error)
    """

"""Says which extra of the package is missing, in place of a traceback."""

import importlib.util
import sys


def require(extra, *modules):
    """Ends in a sentence where modules of an extra are not installed.

    Args:
        extra: of the package, as `"training"`.
        *modules: that come with it.

    Raises:
        ModuleNotFoundError: with the command that installs them; on the
            command line (`python -m`) SystemExit with code 2.
    """
    missing = [m for m in modules if importlib.util.find_spec(m) is None]
    if not missing:
        return
    sentence = (
        f"expected the extra {extra!r} to be installed, as by: "
        f"pip install 'yoto_tf[{extra}]', received: no module named "
        f"{missing[0]!r}"
    )
    # What sys.argv begins with while `python -m` imports the packages above
    # the module that it runs.
    if sys.argv[:1] == ["-m"]:
        sys.stderr.write(f"error: {sentence}\n")
        raise SystemExit(2)
    raise ModuleNotFoundError(sentence, name=missing[0])

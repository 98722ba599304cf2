"""How long a call may take, and when it is tried again."""

import time

import tenacity

from serving.client.errors import DeadlineExceeded
from serving.client.errors import NotFound
from serving.client.errors import Unavailable

# The wait before the n-th new try is drawn from 0 to min(longest, first *
# 2 ** (n - 1)) seconds, so that many clients of a server that comes back do
# not all ask at once.
_FIRST_WAIT = 0.1
_LONGEST_WAIT = 2.0
_POLL_SECONDS = 0.2
# Before the end a last try is made, if it falls into a wait.
_LAST_TRY_SECONDS = 0.1


class Deadline:
    """A point in time that a whole call has to meet, all tries included.

    Args:
        seconds: from now.
    """

    def __init__(self, seconds):
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self):
        """Seconds until then, below 0 after it."""
        return self._end - time.monotonic()

    def remaining(self):
        """Seconds until then.

        Raises:
            DeadlineExceeded: it has passed.
        """
        left = self.left()
        if left <= 0:
            raise DeadlineExceeded(
                f"no answer within {self.seconds:g} s; raise the client's "
                "timeout, or send fewer rows per request"
            )
        return left


def call(function, deadline, retries=None):
    """Calls a function until it does not raise `Unavailable`.

    Every function of a model is pure, so that a request which may have
    reached the server can be sent again.

    Args:
        function: takes the seconds it has.
        deadline: `Deadline` of all tries together.
        retries: limit of the tries after the first; None: the deadline alone.

    Returns:
        What the function returns.

    Raises:
        Unavailable: the last one, when the time or the tries are used up.
    """
    stop = tenacity.stop_after_delay(deadline.remaining())
    if retries is not None:
        stop |= tenacity.stop_after_attempt(retries + 1)
    return _run(
        function,
        deadline,
        retry=tenacity.retry_if_exception_type(Unavailable),
        wait=tenacity.wait_random_exponential(_FIRST_WAIT, _LONGEST_WAIT),
        stop=stop,
    )


def poll(function, deadline):
    """Calls a function until what it waits for is found and available.

    Args:
        function: takes the seconds it has.
        deadline: `Deadline` of the wait.

    Raises:
        NotFound, Unavailable: the last one, when the time is up.
    """
    return _run(
        function,
        deadline,
        retry=tenacity.retry_if_exception_type((NotFound, Unavailable)),
        wait=tenacity.wait_fixed(_POLL_SECONDS),
        stop=tenacity.stop_after_delay(deadline.remaining()),
    )


def _run(function, deadline, wait, **policy):
    def within(state):
        left = deadline.left()
        last = left - _LAST_TRY_SECONDS
        return max(min(wait(state), last if last > 0 else left), 0.0)

    retrying = tenacity.Retrying(reraise=True, wait=within, **policy)
    start = time.monotonic()
    reason = None

    def attempt():
        nonlocal reason
        try:
            return function(deadline.remaining())
        except (NotFound, Unavailable) as error:
            reason = error
            raise
        except DeadlineExceeded:
            if reason is None:
                raise
            # It tells more of what is wrong.
            raise reason from None

    try:
        return retrying(attempt)
    except (NotFound, Unavailable) as error:
        tries = retrying.statistics["attempt_number"]
        if tries == 1:
            raise
        seconds = time.monotonic() - start
        raise type(error)(
            f"{error} ({tries} tries in {seconds:.1f} s)"
        ) from error

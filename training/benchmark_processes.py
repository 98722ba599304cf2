"""Steps of several processes, run in turn and compared."""

import contextlib
import shlex
import statistics
import subprocess

import psutil

from yoto_tf import provenance
from yoto_tf.errors import InputError


def compare(commands, steps, rounds):
    """Times commands that answer numbers of steps with seconds.

    Each is started once, as `training.benchmark_step` is or what answers
    alike. Then every round asks each in turn, so that a machine that drifts
    drifts for all; ratios are medians over the rounds.

    Args:
        commands: texts as of a shell, without its signs.
        steps: of a round.
        rounds: how many.

    Returns:
        list of dict, one a command: `command`, `ms_per_step` (median and
        `least_ms_per_step`), `cpu_ms_per_step` (processor time, median),
        `times_as_fast` as the first, and `peak_memory_mib`.

    Raises:
        InputError: for a command that does not answer.
    """
    seconds = [[] for _ in commands]
    cpu_seconds = [[] for _ in commands]
    with contextlib.ExitStack() as stack:
        running = [stack.enter_context(_Running(text)) for text in commands]
        for _ in range(rounds):
            for i, process in enumerate(running):
                before = process.cpu_seconds()
                seconds[i].append(process.seconds(steps))
                cpu_seconds[i].append(process.cpu_seconds() - before)
        peaks = [process.peak_memory_mib() for process in running]
    return [
        {
            "command": command,
            "ms_per_step": 1000 * statistics.median(own) / steps,
            "least_ms_per_step": 1000 * min(own) / steps,
            "cpu_ms_per_step": 1000 * statistics.median(cpu) / steps,
            "times_as_fast": statistics.median(
                first / x for first, x in zip(seconds[0], own, strict=True)
            ),
            "peak_memory_mib": peak,
        }
        for command, own, cpu, peak in zip(
            commands, seconds, cpu_seconds, peaks, strict=True
        )
    ]


class _Running:
    """A command that is asked for steps."""

    def __init__(self, command):
        self.command = command
        try:
            self.process = subprocess.Popen(
                shlex.split(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        except (OSError, ValueError, IndexError) as error:
            raise InputError(
                f"expected a command that can be started, received: {command} "
                f"({error})"
            ) from error
        self.known = psutil.Process(self.process.pid)

    def __enter__(self):
        try:
            # Before the next one starts, which would disturb it.
            while not self._line().startswith("ready"):
                pass
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def seconds(self, steps):
        """What so many steps took, as the process says."""
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        line = self._line()
        try:
            return float(line)
        except ValueError:
            raise InputError(
                "expected a command that answers a number of steps with "
                f"seconds, received: {line.strip()!r} of {self.command}"
            ) from None

    def cpu_seconds(self):
        times = self.known.cpu_times()
        return times.user + times.system

    def peak_memory_mib(self):
        return provenance.peak_memory_mib(self.process.pid)

    def _line(self):
        line = self.process.stdout.readline()
        if not line:
            raise InputError(
                "expected a command that prints 'ready' and answers numbers "
                f"of steps with seconds, received: {self.command}, which "
                f"ended with code {self.process.wait()}"
            )
        return line


def table(results):
    """Formats what `compare` returns as a Markdown table."""
    lines = [
        "| command | ms a step | least | processor ms | times as fast | MiB |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| `{r['command']}` | {r['ms_per_step']:.1f} | "
        f"{r['least_ms_per_step']:.1f} | {r['cpu_ms_per_step']:.1f} | "
        f"{r['times_as_fast']:.2f} | {r['peak_memory_mib']:,.0f} |"
        for r in results
    ]
    return "\n".join(lines)

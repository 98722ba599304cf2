"""Several processes on this machine that train one model."""

import json
import os
import pathlib
import socket
import subprocess
import sys

from waiting import OF_PROCESS

ROOT = pathlib.Path(__file__).parents[1]


def free_ports(num):
    """Ports that nobody listens at, near the one that TensorFlow gets."""
    sockets = [socket.socket() for _ in range(num)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def tf_config(ports, index):
    """`TF_CONFIG` of one worker of several."""
    spec = {"worker": [f"127.0.0.1:{port}" for port in ports]}
    task = {"type": "worker", "index": index}
    return json.dumps({"cluster": spec, "task": task})


def environments(num):
    """Variables of so many workers of one training."""
    ports = free_ports(num)
    return [{"TF_CONFIG": tf_config(ports, i)} for i in range(num)]


def environment(**more):
    """This process' variables, without TensorFlow's log, and others."""
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **more}


def started(command, environments):
    """Starts a command once for every environment."""
    return [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(**more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for more in environments
    ]


def ended(processes):
    """`(code, stdout, stderr)` of each, killed where it takes too long."""
    results = []
    for process in processes:
        try:
            output = process.communicate(timeout=OF_PROCESS)
        except subprocess.TimeoutExpired:
            for one in processes:
                one.kill()
            output = process.communicate()
        results.append((process.returncode, *output))
    return results


def python(code, *words):
    """The command of a Python program given as a text."""
    return [sys.executable, "-c", code, *map(str, words)]

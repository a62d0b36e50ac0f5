"""Plain cookiecutter, as anybody runs it: what an attack must be able to do to be one.

Started as `python plain.py`, in an environment with cookiecutter. Each line of standard input is a JSON object
`{"template", "output", "answers", "seconds", "log"}`; a fork of this process makes the project, what it prints goes to
the file `log`, and the answer is a line, `{"overran": whether it had to be ended}`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback

from cookiecutter.main import cookiecutter


def make(request: dict[str, object]) -> None:
    log = os.open(str(request["log"]), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(log, number)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        cookiecutter(
            request["template"],
            no_input=True,
            extra_context=request["answers"],
            output_dir=request["output"],
            overwrite_if_exists=True,
        )
    except BaseException:  # noqa: BLE001 - whatever it is, it is written down
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def main() -> None:
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            os.setpgid(0, 0)
            make(request)
        end = time.monotonic() + request["seconds"]
        ended = 0
        while not ended and time.monotonic() < end:
            ended = os.waitpid(child, os.WNOHANG)[0]
            time.sleep(0.002)
        if not ended:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
        sys.stdout.write(json.dumps({"overran": not ended}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

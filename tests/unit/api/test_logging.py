"""What is written to the log: JSON, and nothing that people have written."""

import json
import subprocess
import sys
from typing import Any

PROGRAM = """
import asyncio
import logging as stdlib

import structlog
from structlog.contextvars import bound_contextvars

from healthcare.entrypoints import logging

logging.configure("info")
log = structlog.get_logger()
with bound_contextvars(request_id="request-1"):
    log.info("said", value=object())
log.debug("unsaid")


def fail():
    try:
        raise KeyError("canary-1")
    except KeyError as error:
        raise RuntimeError("canary-2") from error


try:
    fail()
except RuntimeError as error:
    log.error("failed", exc_info=error)
    log.exception("failed again")
    stdlib.getLogger("library").exception("library failed\\nand quotes canary-3")
stdlib.getLogger("library").warning("library %s", "warns")
stdlib.getLogger("library").debug("library whispers")
"""


CRASH = """
from healthcare.entrypoints import logging

logging.configure("error")
raise ExceptionGroup("canary-1", [ValueError("canary-2"), KeyError("canary-3")])
"""


INTO_NOTHING = """
import io
import os

import structlog

from healthcare.entrypoints import logging

read, write = os.pipe()
os.close(read)
logging.configure("info", to=io.TextIOWrapper(io.FileIO(write, "w"), write_through=True))
for _ in range(3):
    structlog.get_logger().info("lost")
os._exit(0)
"""


def lines() -> list[dict[str, Any]]:
    output = subprocess.run(  # a process of its own, because logging is set up once for all of it
        [sys.executable, "-W", "error", "-c", PROGRAM], check=True, capture_output=True, text=True
    )
    assert output.stderr == ""
    assert "canary" not in output.stdout
    return [json.loads(line) for line in output.stdout.splitlines()]


def test_lines_are_json_and_hold_neither_messages_of_exceptions_nor_what_libraries_quote() -> None:
    said, failed, again, library, warning = lines()

    assert said.pop("timestamp").endswith("Z")
    assert said == {"event": "said", "level": "info", "request_id": "request-1", "value": "object"}
    assert failed["event"] == "failed"
    assert [one["kind"] for one in failed["exception"]] == ["builtins.RuntimeError", "builtins.KeyError"]
    assert [place.rsplit(" ", 1)[1] for place in failed["exception"][0]["at"]] == ["<module>", "fail"]
    assert again["exception"] == library["exception"] == failed["exception"]
    assert (library["event"], library["level"]) == ("library failed", "error")
    assert (warning["event"], warning["level"]) == ("library warns", "warning")


def test_what_nobody_catches_is_told_without_its_message_and_ends_the_process() -> None:
    ended = subprocess.run([sys.executable, "-c", CRASH], check=False, capture_output=True, text=True)

    (line,) = ended.stdout.splitlines()
    said = json.loads(line)
    assert (ended.returncode, ended.stderr) == (1, "")
    assert (said["event"], said["level"]) == ("process.failed", "critical")
    assert [one["kind"] for one in said["exception"]] == [
        *("builtins.ExceptionGroup", "builtins.ValueError", "builtins.KeyError")
    ]
    assert "canary" not in line


def test_a_log_that_cannot_be_written_ends_nothing() -> None:
    """As where the disk is full; here whoever reads the lines has gone."""
    subprocess.run([sys.executable, "-c", INTO_NOTHING], check=True)

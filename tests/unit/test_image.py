"""The Dockerfile makes an image of this program: of what the locks name, for nobody in particular, and sound to ask."""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from healthcare.entrypoints import main, settings

CHECKOUT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
COMPLETE = {"POSTGRES_USER": "a", "POSTGRES_PASSWORD": "b", "POSTGRES_DB": "c", "SIGNING_KEY_FILE": "d"}


def stages() -> list[list[tuple[str, str]]]:
    """The instructions of each stage, with what they are given."""
    text = re.sub(r"^#.*\n", "", (CHECKOUT / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)
    lines = [line.split(maxsplit=1) for line in re.sub(r"\\\n\s*", "", text).splitlines() if line]
    found: list[list[tuple[str, str]]] = []
    for name, given in lines:
        if name == "FROM":
            found.append([])
        found[-1].append((name, given))
    return found


BUILD, SHIPPED = stages()


def given(stage: list[tuple[str, str]], name: str) -> list[str]:
    """What the instructions of this name are given."""
    return [text for instruction, text in stage if instruction == name]


def test_what_is_built_runs_on_the_python_it_was_built_with() -> None:
    base, _, name = given(BUILD, "FROM")[0].partition(" AS ")
    version = re.match(r"python:(\d+)\.(\d+)-slim", base)

    assert name == "build"
    assert given(SHIPPED, "FROM") == [base]
    assert version
    assert PROJECT["requires-python"] == ">=3.11"
    assert (int(version[1]), int(version[2])) >= (3, 11)


def test_nothing_is_shipped_but_what_was_built() -> None:
    """No compiler, no installer, no source; and nothing runs as root while the image is made of it."""
    assert given(SHIPPED, "COPY") == ["--from=build /opt/healthcare /opt/healthcare"]
    assert given(SHIPPED, "RUN") == []
    assert given(SHIPPED, "ADD") == []


def test_the_image_installs_only_what_the_locks_name() -> None:
    installs = [part for run in given(BUILD, "RUN") for part in run.split("&&") if "pip install" in part]
    locks = [lock for part in installs for lock in re.findall(r"--require-hashes -r (\S+)", part)]

    assert locks == ["requirements/bootstrap.lock", "requirements/runtime.lock"]
    assert [part for part in installs if "--require-hashes -r" not in part and "--no-deps dist/*.whl" not in part] == []


def test_the_builder_is_sent_what_it_copies_and_no_more() -> None:
    ignored, *let_in = [
        line
        for line in (CHECKOUT / ".dockerignore").read_text("utf-8").splitlines()
        if not line.startswith("#") and "__pycache__" not in line
    ]
    copied = {source for text in given(BUILD, "COPY") for source in text.split()[:-1]}

    assert ignored == "*"
    assert {source.split("/")[0] for source in copied} == {line.removeprefix("!") for line in let_in}
    assert [source for source in copied if not (CHECKOUT / source).exists()] == []


def test_it_answers_requests_unless_told_otherwise() -> None:
    """By the command that the package installs, from the place where it was installed."""
    (command,) = given(SHIPPED, "CMD")
    program, *arguments = json.loads(command)

    assert given(SHIPPED, "ENTRYPOINT") == []  # so that another command is another command
    assert PROJECT["scripts"][program] == f"{main.__name__}:{main.main.__name__}"
    assert main.parser().parse_args(arguments).command == "api"
    assert environment()["PATH"].split(":")[0] == "/opt/healthcare/bin"


def test_it_runs_as_nobody_in_particular() -> None:
    users = given(SHIPPED, "USER")

    assert [[int(id) for id in user.split(":")] for user in users] == [[1000, 1000]]
    names = [name for name, _ in SHIPPED]
    assert names.index("USER") < names.index("CMD")


def test_every_variable_of_the_image_is_a_setting_or_one_of_python() -> None:
    chosen = {name: value for name, value in environment().items() if name in settings.names()}

    assert environment().keys() - chosen.keys() == {"PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}
    assert not [name for name in chosen if re.search("PASSWORD|SECRET|TOKEN|KEY", name)]
    assert settings.read(COMPLETE | chosen).host == "0.0.0.0"  # noqa: S104 - within the container
    assert given(SHIPPED, "EXPOSE") == [str(settings.read(COMPLETE | chosen).port)]


@pytest.mark.parametrize(("status", "well"), [(200, True), (503, False)])
def test_it_is_as_well_as_the_api_says(status: int, well: bool) -> None:
    with answering(status) as (port, asked):
        assert (health(port) == 0) is well

    assert asked == ["/health/ready"]


def test_it_is_not_well_where_nobody_answers() -> None:
    with answering(200) as (port, _):
        pass

    assert health(port) != 0


def environment() -> dict[str, str]:
    """The variables that the image sets."""
    return dict(pair.split("=", 1) for text in given(SHIPPED, "ENV") for pair in text.split())


def health(port: int) -> int:
    """Ask as Docker does, and return how it ends."""
    (check,) = given(SHIPPED, "HEALTHCHECK")
    program, *arguments = json.loads(check.split("CMD ")[1])
    assert program == "python"
    return subprocess.run(
        [sys.executable, *arguments], env={"PORT": str(port)}, stderr=subprocess.DEVNULL, check=False
    ).returncode


@contextmanager
def answering(status: int) -> Iterator[tuple[int, list[str]]]:
    """Answer whatever is asked with a status; yield where, and what was asked."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server.server_port, asked
        finally:
            server.shutdown()
            thread.join()

"""What a newcomer does: start the demo, follow the README, stop, start again."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from tests.integration.world import free_port

ROOT = Path(__file__).parents[3]
UP_WITHIN = 120
"""Seconds; the sample data of a first start are made by some 1,000 transactions."""
GONE_WITHIN = 5


@contextmanager
def demo(folder: Path, port: int) -> Iterator["subprocess.Popen[str]"]:
    """Run the demo until the block is left, and then as Ctrl-C would end it."""
    output = folder.with_suffix(".out")
    with output.open("w") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "healthcare", "demo", "--folder", str(folder), "--port", str(port)],
            stdout=sink,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    try:
        end = time.monotonic() + UP_WITHIN
        while "Ctrl-C" not in output.read_text():
            assert process.poll() is None, output.read_text()
            assert time.monotonic() < end, output.read_text()
            time.sleep(0.1)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
        process.wait(30)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the demo keeps everything, for all the tests here."""
    return tmp_path_factory.mktemp("demo") / "kept"


def test_ctrl_c_while_the_sample_data_are_made_leaves_nothing_behind(folder: Path) -> None:
    """The next start, which is the next test, makes the rest."""
    output = folder.with_suffix(".first")
    with output.open("w") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "healthcare", "demo", "--folder", str(folder), "--port", str(free_port())],
            stdout=sink,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    end = time.monotonic() + UP_WITHIN
    while "working days" not in output.read_text():
        assert process.poll() is None, output.read_text()
        assert time.monotonic() < end, output.read_text()
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)

    assert process.wait(15) == 0
    assert "Traceback" not in output.read_text()
    assert "Ctrl-C" not in output.read_text(), "it had come up before"


def test_a_newcomer_can_follow_the_readme(folder: Path) -> None:
    """Its shell blocks, cut out and run in order against a demo that is up for the first time."""
    port = free_port()
    with demo(folder, port) as process:
        sign_ins = json.loads((folder / "sign-ins.json").read_text())
        assert set(sign_ins) == {"patient", "doctor", "admin"}
        assert stat.S_IMODE((folder / "sign-ins.json").stat().st_mode) == 0o600
        printed = folder.with_suffix(".out").read_text()
        assert all(one["password"] in printed and len(one["password"]) >= 15 for one in sign_ins.values())
        run_first_request(printed)

        ran = subprocess.run(
            ["bash", "-c", journey()],
            env=os.environ | {"BASE": f"http://127.0.0.1:{port}", "DEMO": str(folder)},
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert "the same answer" in ran.stdout
        assert "prescription.issued" in ran.stdout
        assert "prescription.read" in ran.stdout

        refused = subprocess.run(
            [sys.executable, "-m", "healthcare", "demo", "--folder", str(folder), "--port", str(free_port())],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert refused.returncode == 1
        assert "another demo is running" in refused.stderr
    assert process.returncode == 0
    assert "Traceback" not in folder.with_suffix(".out").read_text()
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        pass


def test_a_second_start_is_quick_and_keeps_the_data(folder: Path) -> None:
    """It adds nothing on the same day, and the demo doctor has free slots for 14 days."""
    port = free_port()
    start = time.monotonic()
    with demo(folder, port):
        assert time.monotonic() - start < UP_WITHIN / 4
        base = f"http://127.0.0.1:{port}"
        sign_in = json.loads((folder / "sign-ins.json").read_text())["doctor"]
        signed_in = httpx.post(f"{base}/auth/login", json=sign_in)
        assert signed_in.status_code == 200
        headers = {"Authorization": f"Bearer {signed_in.json()['access_token']}"}
        slots = httpx.get(f"{base}/booking/doctor/slots", params={"limit": 500}, headers=headers).json()["items"]
        assert max(slot["start"] for slot in slots) > (datetime.now(UTC) + timedelta(days=13)).isoformat()
        assert sum(slot["status"] == "free" for slot in slots) > 100
        assert sum(slot["status"] == "busy" for slot in slots) >= 1, "the journey's booking is gone"
        specialties = httpx.get(f"{base}/booking/specialties").json()["items"]
        assert {"cardiology", "dermatology", "general-practice", "pediatrics", "psychiatry", "neurology"} <= set(
            specialties
        )


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent is gone")
@pytest.mark.parametrize("killed", ["its launcher", "the guard of its servers"])
def test_nothing_is_left_of_a_demo_when_a_part_that_owns_others_is_killed(
    folder: Path, killed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither of the processes that there were, nor of any that has inherited the demo's environment since."""
    mark = f"OF_THIS_DEMO={uuid4()}"
    monkeypatch.setenv(*mark.split("="))
    with demo(folder, port := free_port()) as launcher:
        there = {launcher.pid, *offspring(launcher.pid)}
        (guard,) = [pid for pid in there if b"healthcare.adapters.embedded.guard" in of(pid, "cmdline")]
        assert len(there) > 10, "PostgreSQL alone has more"

        os.kill(launcher.pid if killed == "its launcher" else guard, signal.SIGKILL)

        end = time.monotonic() + GONE_WITHIN
        while left := [pid for pid in there | marked(mark) if runs(pid)]:
            assert time.monotonic() < end, [of(pid, "cmdline") for pid in left]
            time.sleep(0.05)
    with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        pass


def test_a_taken_port_gets_a_clear_message(tmp_path: Path) -> None:
    """And a way out."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = subprocess.run(
            [sys.executable, "-m", "healthcare", "demo", "--folder", str(tmp_path / "demo"), "--port", str(port)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert refused.returncode == 1
    assert f"port {port}" in refused.stderr
    assert "PORT=" in refused.stderr


def journey() -> str:
    """Return the shell blocks of the README's journey as one script."""
    text = (ROOT / "README.md").read_text()
    section = text.split("## A journey")[1].split("\n## ")[0]
    blocks = re.findall(r"^```sh\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 5
    return "set -euo pipefail\n" + "\n".join(blocks)


def run_first_request(printed: str) -> None:
    """Paste the request that the demo suggests; it finds somebody."""
    (command,) = re.findall(r"^  (curl .*)$", printed, re.MULTILINE)
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=10, check=True)
    assert json.loads(ran.stdout)["items"]


def offspring(pid: int) -> set[int]:
    """Return the processes that a process has started, and those that they have."""
    threads = Path(f"/proc/{pid}/task").glob("*")
    children = {int(child) for thread in threads for child in of(pid, f"task/{thread.name}/children").split()}
    return children.union(*map(offspring, children))


def marked(mark: str) -> set[int]:
    """Return the processes that have something in their environment, wherever they come from."""
    pids = {int(process.name) for process in Path("/proc").glob("[0-9]*")}
    return {pid for pid in pids if mark.encode() in of(pid, "environ")} - {os.getpid()}


def runs(pid: int) -> bool:
    """Say whether a process is there, and not only waiting for its parent to notice its end."""
    state = of(pid, "stat").rpartition(b") ")[2][:1]
    return state not in {b"", b"Z"}


def of(pid: int, what: str) -> bytes:
    """Return what Linux knows about a process, or nothing once it is gone."""
    try:
        return Path(f"/proc/{pid}/{what}").read_bytes()
    except OSError:
        return b""

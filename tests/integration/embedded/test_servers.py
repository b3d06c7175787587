"""The embedded servers are real, private, and gone when their owner is."""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisGone
from redis.retry import Retry

from healthcare.adapters.embedded.errors import FolderInUse, ServersFailed
from healthcare.adapters.embedded.home import ELSEWHERE, discard
from healthcare.adapters.embedded.programs import POSTGRES_BIN, REDIS_BIN
from healthcare.adapters.embedded.servers import RedisAddress, postgres, running, throwaway, valkey

OWNER = """
import json, signal, sys
from dataclasses import asdict
from pathlib import Path
from healthcare.adapters.embedded.servers import running

with running(Path(sys.argv[1]), durable=False) as servers:
    print(json.dumps(asdict(servers)), flush=True)
    signal.pause()
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder whose path has spaces, and which a server that does not run as root can enter."""
    parent = Path(tempfile.mkdtemp(prefix="embedded servers "))
    parent.chmod(0o711)
    yield parent / "some state"
    discard(parent / "some state")
    shutil.rmtree(parent)


@contextmanager
def an_owner(folder: Path) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Another process that owns servers, and what it says about them."""
    with subprocess.Popen([sys.executable, "-c", OWNER, str(folder)], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        try:
            yield owner, json.loads(owner.stdout.readline())
        finally:
            owner.kill()


def a_client(address: RedisAddress) -> Redis:
    """A client that says at once when the server is not there."""
    return Redis(host=address.host, port=address.port, retry=Retry(NoBackoff(), 0), protocol=2)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def runs(pid: int) -> bool:
    """Whether a process is there and no zombie: not every first process reaps those."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return state.stdout.strip()[:1] not in ("", "Z")


def eventually(fact: Callable[[], bool], *, seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def nothing_is_left(of: dict[str, Any]) -> bool:
    pids = of["guard_pid"], of["postgres_pid"], of["redis_pid"]
    return not any(map(listens, (of["postgres"]["port"], of["redis"]["port"]))) and not any(map(runs, pids))


def test_both_servers_answer_and_are_gone_after_the_block(folder: Path) -> None:
    with running(folder, durable=False) as servers:
        with psycopg.connect(servers.dsn("postgres")) as connection:
            row = connection.execute("SELECT 1").fetchone()
        answer = a_client(servers.redis).ping()

    assert row == (1,)
    assert answer
    assert not listens(servers.postgres.port)
    assert not listens(servers.redis.port)


def test_a_cold_start_takes_seconds(folder: Path) -> None:
    began = time.monotonic()

    with running(folder.with_name("cold"), durable=False):
        took = time.monotonic() - began

    discard(folder.with_name("cold"))
    assert took < 10  # about 0.6 on two idle cores


def test_what_was_kept_is_there_after_a_restart(folder: Path) -> None:
    with running(folder) as servers:
        with psycopg.connect(servers.dsn("postgres"), autocommit=True) as connection:
            connection.execute("DROP TABLE IF EXISTS kept")
            connection.execute("CREATE TABLE kept AS SELECT 7 AS number")
        a_client(servers.redis).set("kept", "7")

    with running(folder) as servers:
        with psycopg.connect(servers.dsn("postgres")) as connection:
            row = connection.execute("SELECT number FROM kept").fetchone()
        value = a_client(servers.redis).get("kept")

    assert row == (7,)
    assert value == b"7"


def test_postgresql_listens_on_the_loopback_address_only_and_wants_the_password(folder: Path) -> None:
    with running(folder, durable=False) as servers:
        address = servers.postgres
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            psycopg.connect(address.dsn().replace(address.password, "wrong"))
        with psycopg.connect(address.dsn()) as connection:
            listening = connection.execute(
                "SELECT current_setting('listen_addresses'), current_setting('unix_socket_directories')"
            ).fetchone()

    assert listening == ("127.0.0.1", "")
    assert address.password not in repr(servers)


def test_durable_servers_wait_for_the_disk_and_throwaway_ones_do_not(folder: Path) -> None:
    found = {}
    for durable in (True, False):
        with running(folder, durable=durable) as servers, psycopg.connect(servers.dsn("postgres")) as connection:
            found[durable] = connection.execute(
                "SELECT current_setting('fsync'), current_setting('synchronous_commit'),"
                " current_setting('data_checksums')"
            ).fetchone()

    assert found == {True: ("on", "on", "on"), False: ("off", "on", "on")}


def test_text_sorts_by_code_point_on_every_machine(folder: Path) -> None:
    with running(folder, durable=False) as servers, psycopg.connect(servers.dsn("postgres")) as connection:
        rows = connection.execute("SELECT * FROM unnest(ARRAY['b', 'ä', 'B', 'a']) word ORDER BY word").fetchall()

    assert [word for (word,) in rows] == ["B", "a", "b", "ä"]


def test_throwaway_servers_leave_no_file_behind() -> None:
    with throwaway() as servers, psycopg.connect(servers.dsn("postgres")) as connection:
        row = connection.execute("SELECT current_setting('data_directory')").fetchone()

    assert row is not None
    data = Path(row[0])
    assert not data.parent.exists()


def test_a_second_owner_of_the_same_folder_is_refused(folder: Path) -> None:
    with running(folder, durable=False) as servers:
        with pytest.raises(FolderInUse, match="in use by another process"), running(folder):
            pass
        with pytest.raises(FolderInUse):
            discard(folder)

        assert a_client(servers.redis).ping()


def test_two_folders_run_side_by_side(folder: Path) -> None:
    with running(folder, durable=False) as one, running(folder.with_name("other"), durable=False) as other:
        ports = {one.postgres.port, one.redis.port, other.postgres.port, other.redis.port}

    discard(folder.with_name("other"))
    assert len(ports) == 4


def test_nothing_is_left_when_the_owner_is_killed(folder: Path) -> None:
    with an_owner(folder) as (owner, servers):
        owner.kill()

        assert eventually(lambda: nothing_is_left(of=servers))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel does not tell the servers")
def test_nothing_is_left_when_the_guard_is_killed(folder: Path) -> None:
    with an_owner(folder) as (_, servers):
        os.kill(servers["guard_pid"], signal.SIGKILL)

        assert eventually(lambda: nothing_is_left(of=servers))


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel does not tell the servers")
def test_who_comes_right_after_a_killed_guard_waits_for_its_servers(folder: Path) -> None:
    with an_owner(folder) as (_, killed):
        os.kill(killed["guard_pid"], signal.SIGKILL)

        with running(folder, durable=False) as servers:
            assert a_client(servers.redis).ping()


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_guard_stops_the_servers(folder: Path, sign: signal.Signals) -> None:
    with an_owner(folder) as (_, servers):
        os.kill(servers["guard_pid"], sign)

        assert eventually(lambda: nothing_is_left(of=servers))


@pytest.mark.parametrize("name", ["postgres_pid", "redis_pid"])
def test_when_one_server_ends_the_guard_ends_the_other(folder: Path, name: str) -> None:
    with an_owner(folder) as (_, servers):
        os.kill(servers[name], signal.SIGKILL)

        assert eventually(lambda: nothing_is_left(of=servers))


def test_one_valkey_can_be_stopped_and_started_on_its_port(folder: Path) -> None:
    with valkey(folder) as server:
        client = a_client(server.address)
        client.set("kept", "7")
        port = server.address.port

        server.stop()
        with pytest.raises(RedisGone):
            client.get("kept")
        server.start()

        assert server.address.port == port
        assert client.get("kept") == b"7"


def test_one_valkey_can_be_killed_paused_and_asked_for_on_a_port(folder: Path) -> None:
    with valkey(folder, durable=False) as server:
        port = server.address.port
        server.kill()
        assert not listens(port)

    with valkey(folder, port, durable=False) as server:
        server.pause()
        with pytest.raises(TimeoutError), socket.create_connection(("127.0.0.1", port), 0.2) as connection:
            connection.sendall(b"PING\r\n")
            connection.recv(16)
        server.resume()

        assert server.address.port == port
        assert a_client(server.address).ping()


def test_one_postgresql_comes_back_with_what_was_committed_before_it_was_killed(folder: Path) -> None:
    with postgres(folder, durable=False) as server:
        with psycopg.connect(server.address.dsn(), autocommit=True) as connection:
            connection.execute("DROP TABLE IF EXISTS survivors")
            connection.execute("CREATE TABLE survivors AS SELECT 7 AS number")

        server.kill()
        server.start()

        with psycopg.connect(server.address.dsn()) as connection:
            assert connection.execute("SELECT number FROM survivors").fetchone() == (7,)


def test_a_paused_server_does_not_hold_up_the_end(folder: Path) -> None:
    began = time.monotonic()

    with valkey(folder, durable=False) as server:
        server.pause()

    assert time.monotonic() - began < 10


def test_a_server_that_does_not_start_is_quoted(folder: Path) -> None:
    with postgres(folder, durable=False):
        pass
    settings = folder / "postgres" / "postgresql.conf"
    before = settings.read_text(encoding="utf-8")
    settings.write_text(f"{before}\nnonsense = 1\n", encoding="utf-8")

    with pytest.raises(ServersFailed, match=r'postgres did not start.\n.*"nonsense"'), running(folder):
        pass

    settings.write_text(before, encoding="utf-8")


@pytest.mark.parametrize("variable", [POSTGRES_BIN, REDIS_BIN])
def test_other_programs_can_be_named_and_a_missing_one_is_told(
    folder: Path, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "/no/such/place")

    with pytest.raises(ServersFailed, match=r"Cannot use /no/such/place.*No such file"), running(folder):
        pass


def test_the_files_are_for_their_owner_only(folder: Path) -> None:
    with running(folder, durable=False):
        pass

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    private = {"postgres": 0o700, "redis": 0o700, "postgres.password": 0o600, "postgres.log": 0o600}
    assert modes | private == modes


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs its servers as somebody else")
def test_root_may_keep_its_state_in_a_closed_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    state = tmp_path / "state"
    with running(state, durable=False) as servers, psycopg.connect(servers.dsn("postgres"), autocommit=True) as kept:
        kept.execute("CREATE TABLE kept AS SELECT 7 AS number")
    elsewhere = Path((state / "data-folder").read_text(encoding="utf-8").strip())

    with running(state, durable=False) as servers, psycopg.connect(servers.dsn("postgres")) as connection:
        row = connection.execute("SELECT number FROM kept").fetchone()
    discard(state)

    assert row == (7,)
    assert elsewhere.is_relative_to(ELSEWHERE)
    assert not elsewhere.exists()
    assert not state.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs its servers as somebody else")
def test_data_outside_a_closed_folder_go_when_the_folder_has_gone(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    with valkey(tmp_path / "deleted", durable=False):
        elsewhere = Path((tmp_path / "deleted" / "data-folder").read_text(encoding="utf-8").strip())
    shutil.rmtree(tmp_path / "deleted")
    assert elsewhere.exists()

    with valkey(tmp_path / "state", durable=False):
        pass
    discard(tmp_path / "state")

    assert not elsewhere.exists()

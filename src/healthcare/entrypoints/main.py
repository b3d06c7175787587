"""The command `healthcare`: one word for each way to drive the system."""

import argparse
import sys
from pathlib import Path

from healthcare.adapters.security.keys import KeysUnusable
from healthcare.adapters.system import SystemClock
from healthcare.application.uow import OutcomeUnknown, Unavailable
from healthcare.domain.kernel import Refusal
from healthcare.domain.zones import use_one_database
from healthcare.entrypoints import server, settings
from healthcare.entrypoints.cli import check, demo, operate, outbox
from healthcare.entrypoints.settings import SettingsInvalid
from healthcare.entrypoints.worker import main as worker

COMMANDS = {
    "api": "answer HTTP requests",
    "worker": "do what requests leave behind",
    "migrate": "bring the database to the shape this release needs",
    "create-key": "make a file with a key that signs access tokens",
    "create-admin": "make an admin; the password is read from standard input",
    "check": "look at everything the system rests on, and say what is wrong with it",
    "outbox": "see and put back the events that could not be recorded five times",
    "demo": "run everything here, with servers and sample data of its own",
}


def port(text: str) -> int:
    """Read the number of a port."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= settings.LAST_PORT:
        raise argparse.ArgumentTypeError(f"there is no port {text!r}, only 1 to {settings.LAST_PORT}")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    root = argparse.ArgumentParser("healthcare", description="A backend for telemedicine appointments.")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    parsers = {name: commands.add_parser(name, help=text, description=text) for name, text in COMMANDS.items()}
    parsers["create-key"].add_argument("file", type=Path, help="where to; it must not exist yet")
    parsers["create-admin"].add_argument("--email", required=True)
    parsers["create-admin"].add_argument("--full-name", required=True)
    parsers["create-admin"].add_argument("--time-zone", default="UTC", help="IANA name (default: UTC)")
    outbox.add_arguments(parsers["outbox"])
    parsers["demo"].add_argument("--port", type=port, default=3000, help="of the API (default: 3000)")
    parsers["demo"].add_argument("--folder", type=Path, default=Path(".demo"), help="where everything is kept")
    return root


def main() -> int:
    """Run one command; return 0 when it did what it was asked to."""
    arguments = parser().parse_args()
    use_one_database()
    try:
        match arguments.command:
            case "api":
                server.serve(settings.read())
            case "worker":
                worker.main(settings.read())
            case "migrate":
                operate.migrate(settings.read())
            case "create-key":
                operate.create_key(arguments.file)
            case "create-admin":
                operate.create_admin(
                    settings.read(),
                    email=arguments.email,
                    full_name=arguments.full_name,
                    time_zone=arguments.time_zone,
                    password=operate.ask_password(),
                )
            case "check":
                return 0 if check.check(SystemClock()) else 1
            case "outbox":
                outbox.run(settings.read(), arguments)
            case "demo":
                demo.run(arguments.folder, arguments.port)
    except (
        SettingsInvalid,
        KeysUnusable,
        Refusal,
        Unavailable,
        OutcomeUnknown,
        server.PortTaken,
        operate.Refused,
        demo.CannotStart,
    ) as reason:
        faults = [f"{'.'.join(map(str, fault.path))}: {fault.detail}" for fault in getattr(reason, "faults", ())]
        sys.stderr.write("\n".join([f"healthcare: {reason}", *faults]) + "\n")
        return 1
    return 0

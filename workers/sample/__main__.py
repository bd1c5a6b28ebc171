"""`python -m workers.sample serve`: the sample registry as a program."""

import argparse
import signal
import sys
import threading
from collections.abc import Sequence

from workers.sample.bundled import sample_registry
from workers.sample.faults import Faults
from workers.sample.options import FORMS, parse_faults
from workers.sample.serve import SampleServer


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; 2 for arguments that cannot be used."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        faults = parse_faults(given.faults, given.seed)
    except ValueError as error:
        parser.error(str(error))
    faults.delay = given.delay_ms / 1000
    stop = threading.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, lambda *_: stop.set())
    return _serve(given, faults, stop)


def _serve(given: argparse.Namespace, faults: Faults, stop: threading.Event) -> int:
    registry = sample_registry(given.generate, given.seed, bundled=not given.without_bundled)
    try:
        server = SampleServer(registry, faults, given.port)
    except (OSError, OverflowError) as error:
        sys.stderr.write(f"cannot listen on 127.0.0.1:{given.port}: {error}; choose another --port, or 0 for any\n")
        return 1
    with server:
        sys.stdout.write(f"listening on {server.url}\n")
        sys.stdout.flush()
        stop.wait()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m workers.sample",
        description="The API of the official MCP registry over sample entries, on this machine only.",
        epilog="example: python -m workers.sample serve --port 8099 --generate 20000 --faults 500=0.06,cut=0.04",
    )
    serve = parser.add_subparsers(required=True).add_parser("serve", help="serve until interrupted")
    serve.add_argument("--port", type=int, default=0, help="0, the default, takes a free one")
    serve.add_argument("--generate", type=_count, default=0, metavar="N", help="add N generated versions")
    serve.add_argument("--seed", type=int, default=0, help="what is generated, and when faults happen")
    serve.add_argument("--without-bundled", action="store_true", help="leave the bundled entries out")
    serve.add_argument("--faults", default="", metavar="F=RATE,...", help=FORMS.replace("%", "%%"))
    serve.add_argument("--delay-ms", type=_count, default=0, metavar="D", help="answer D milliseconds late, always")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())

"""The only place for fuzzing that coverage guides: a part of ``make fuzz``.

By itself it is ``python -m tests.fuzz.with_atheris [target] [seconds]``. Each target runs for so
many seconds (60), with its corpus as seeds; what reaches new code is kept in
``build/fuzz/<target>``, for the next run. Each has a process of its own, since libFuzzer ends its
process. Without atheris, which not every Python has, nothing is run.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
FOUND: Final = ROOT / "build/fuzz"
SECONDS: Final = 60

MAX_SIZE: Final = 2048
"""Bytes of an input: more than the tight limits, little enough for many runs a second."""

INSTRUMENTED: Final = ["wscore", "h11"]
"""Whose branches count as found: h11 judges the heads."""

# Coverage sees no character of what a pattern or a dict is compared with.
WORDS: Final = [
    *("\\x0d\\x0a", "\\x0d\\x0a\\x0d\\x0a", "HTTP/1.1 ", "HTTP/1.0", "101 ", "403 ", "GET /"),
    *("Host: ", "Upgrade: websocket", "Connection: Upgrade", "Connection: close"),
    *("Content-Length: ", "Transfer-Encoding: chunked", "Sec-WebSocket-Key: "),
    *("Sec-WebSocket-Version: 13", "Sec-WebSocket-Accept: ", "Sec-WebSocket-Protocol: chat"),
    *("Sec-WebSocket-Extensions: ", "permessage-deflate", "; server_no_context_takeover"),
    *("; client_no_context_takeover", "; server_max_window_bits=", "; client_max_window_bits="),
    *("\\x00\\x00\\xff\\xff", "\\x03\\xe8", "\\xed\\xa0\\x80", "\\xf4\\x90", "\\xe2\\x82\\xac"),
]
"""What a mutation may put in, in libFuzzer's notation."""


def fuzz(target: str, seconds: int) -> None:
    """Run one target in this process, which ends with it."""
    # By its name: the type checkers' Python need not have it.
    atheris = importlib.import_module("atheris")
    with atheris.instrument_imports(include=INSTRUMENTED):
        importlib.import_module("h11")
        importlib.import_module("wscore")
    from tests.fuzz.make_corpus import CORPUS
    from tests.fuzz.targets import TARGETS

    found = FOUND / target
    found.mkdir(parents=True, exist_ok=True)
    words = FOUND / "words"
    words.write_text("".join(f'"{word}"\n' for word in WORDS))
    options = [
        f"-dict={words}",
        f"-max_total_time={seconds}",
        f"-max_len={MAX_SIZE}",
        f"-artifact_prefix={FOUND}/{target}-",
        "-timeout=20",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *options, str(found), str(CORPUS / target)], TARGETS[target])
    atheris.Fuzz()


def artifacts(target: str) -> dict[Path, int]:
    """What was found in this target, and when it was found last: its name is its content's."""
    return {path: path.stat().st_mtime_ns for path in FOUND.glob(f"{target}-*")}


def run(target: str, seconds: int) -> bool:
    """Run one target in a process of its own; whether it found nothing."""
    print(f"==> {target}, {seconds} s", flush=True)
    before = artifacts(target)
    command = [sys.executable, "-m", "tests.fuzz.with_atheris", "--here", target, str(seconds)]
    done = subprocess.run(command, cwd=ROOT, check=False)
    if not done.returncode:
        return True
    for path, _ in sorted(artifacts(target).items() - before.items()):
        kept = f"tests/fuzz/corpus/{target}/{path.name.removeprefix(f'{target}-')}.bin"
        print(f"Found: {path.relative_to(ROOT)}. To reproduce it:")
        print(f"    cp {path.relative_to(ROOT)} {kept}")
        print(f"    .venv/bin/python -m pytest tests/fuzz -k {Path(kept).name}")
    return False


def main(arguments: list[str]) -> int:
    """Run the target that is named, or each; 1 if any found something."""
    if arguments[:1] == ["--here"]:
        fuzz(arguments[1], int(arguments[2]))
        return 0
    if find_spec("atheris") is None:
        print("atheris is not installed (not every Python has a wheel of it): it is left out")
        return 0
    from tests.fuzz.targets import TARGETS

    seconds = [int(argument) for argument in arguments if argument.isdigit()]
    named = [argument for argument in arguments if not argument.isdigit()]
    if len(seconds) > 1 or not set(named) <= set(TARGETS):
        print(f"usage: with_atheris.py [{'|'.join(TARGETS)}] [seconds]", file=sys.stderr)
        return 2
    fine = [run(target, *(seconds or [SECONDS])) for target in named or TARGETS]
    return 0 if all(fine) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""``make sanitize``: the compiled codec under AddressSanitizer and UndefinedBehaviorSanitizer.

Compiles it so in a copy of wscore, runs its tests there, and then lets Hypothesis search for the
given seconds.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLACE = ROOT / "build/sanitize"
TESTS = ["codec", "frames", "inbox", "outbox"]
FLAGS = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def compile_codec(compiler: str) -> None:
    """A copy of wscore with a codec that watches itself."""
    shutil.rmtree(PLACE, ignore_errors=True)
    copy = PLACE / "wscore"
    source = ROOT / "packages/wscore/src/wscore"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    include = f"-I{sysconfig.get_paths()['include']}"
    files = [str(copy / "_codec.c"), "-o", str(copy / f"_codec{suffix}")]
    subprocess.run([compiler, *FLAGS, "-shared", "-fPIC", include, *files], check=True)


def main(seconds: float) -> int:
    """Run it all; the exit code."""
    compiler = shlex.split(sysconfig.get_config_var("CC") or "cc")[0]
    if shutil.which(compiler) is None:
        print(f"sanitize: there is no {compiler} to compile with; nothing was checked")
        return 0
    compile_codec(compiler)
    find = [compiler, "-print-file-name=libasan.so"]
    runtime = subprocess.run(find, check=True, capture_output=True, text=True).stdout.strip()
    environment = {
        **os.environ,
        "PYTHONPATH": f"{PLACE}{os.pathsep}{ROOT}",
        "LD_PRELOAD": runtime,
        # Python's own allocator would hide what is read or written beside an object.
        "PYTHONMALLOC": "malloc",
        # What Python keeps until its end is no leak.
        "ASAN_OPTIONS": "detect_leaks=0",
    }
    environment.pop("WSCORE_PURE", None)
    said = "import wscore, sys; sys.exit(wscore.codec != 'C' or 'sanitize' not in wscore.__file__)"
    python = sys.executable
    subprocess.run([python, "-c", said], env=environment, check=True)
    tests = [f"tests/wscore/test_{name}.py" for name in TESTS]
    # What they find, they say on stderr.
    pytest = [python, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider"]
    subprocess.run([*pytest, *tests], env=environment, check=True, cwd=ROOT)
    end = time.monotonic() + seconds
    rounds = 0
    while time.monotonic() < end:
        rounds += 1
        # Another seed each time, also where CI fixes it.
        search = {**environment, "HYPOTHESIS_PROFILE": "dev"}
        again = [*pytest, "-m", "hypothesis", f"--hypothesis-seed={rounds}", tests[0]]
        subprocess.run(again, env=search, check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    print(f"sanitize: passed, with {rounds} more searches")
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]) if sys.argv[1:] else 0))

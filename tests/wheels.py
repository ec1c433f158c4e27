"""``make wheels``: each adapter works alone, from its built wheel, in a fresh environment.

Builds a wheel of every package, and of the core another one without a compiler; then installs each
adapter's into an environment of its own, with nothing but what it requires, looks at what that
brought along, and runs the README's program.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROGRAM = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

CORE = {"wscore", "wsproto", "h11"}
TRIO = {"trio", "attrs", "sortedcontainers", "idna", "outcome", "sniffio"}

BRINGS: dict[str, set[str]] = {
    "ws-asyncio": CORE,
    "ws-trio": CORE | TRIO,
    "ws-sync": CORE,
    "ws-anyio": CORE | {"anyio", "idna", "sniffio", "typing_extensions"},
}
"""What each adapter may bring along: neither another adapter nor another runtime."""


def run(*command: str | Path) -> str:
    """Run a command; show what it said if it fails."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=300)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    return done.stdout


def program(adapter: str) -> str:
    """The README's program for this adapter."""
    module = adapter.replace("-", "_")
    for block in PROGRAM.findall((ROOT / "README.md").read_text()):
        if f"from {module} import connect, serve" in block:
            return str(block)
    sys.exit(f"the README has no program for {adapter}")


def build(wheels: Path, *packages: Path) -> None:
    """Build the wheels of these packages, from copies: what is left of a build stays there."""
    with tempfile.TemporaryDirectory() as directory:
        copies = [Path(directory, package.name) for package in packages]
        for package, copy in zip(packages, copies, strict=True):
            shutil.copytree(package, copy, ignore=shutil.ignore_patterns("*.so", "build"))
        run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", wheels, *copies)


def check_without_compiler(place: Path) -> None:
    """Where nothing can be compiled, the core installs all the same, and works."""
    compiler = os.environ.get("CC")
    os.environ["CC"] = "false"
    try:
        build(place / "wheels", ROOT / "packages/wscore")
    finally:
        del os.environ["CC"]
        if compiler is not None:
            os.environ["CC"] = compiler
    venv.create(place / "venv", with_pip=True)
    python = place / "venv/bin/python"
    run(python, "-m", "pip", "install", *(place / "wheels").glob("wscore-*.whl"))
    said = run(python, "-W", "error", "-c", "import wscore; print(wscore.codec)")
    if said.strip() != "Python":
        sys.exit(f"wscore: without a compiler, its codec is said to be {said!r}")
    print("wscore: installs and works without a compiler")


def check(adapter: str, wheels: Path, place: Path) -> None:
    """Install the adapter alone, look at what came along, and run its program."""
    venv.create(place, with_pip=True)
    python = place / "bin/python"
    # The files themselves: an index may know these names from somewhere else.
    ours = [*wheels.glob("wscore-*.whl"), *wheels.glob(f"{adapter.replace('-', '_')}-*.whl")]
    run(python, "-m", "pip", "install", *ours)
    listed = json.loads(run(python, "-m", "pip", "list", "--format", "json"))
    found = {each["name"].lower().replace("-", "_") for each in listed}
    allowed = BRINGS[adapter] | {adapter, "pip", "setuptools"}
    extra = found - {name.replace("-", "_") for name in allowed}
    if extra:
        sys.exit(f"{adapter} brings along {', '.join(sorted(extra))}")
    said = run(python, "-W", "error", "-c", program(adapter))
    if said.strip() != "hello":
        sys.exit(f"{adapter}: its program said {said!r}, not hello")
    print(f"{adapter}: works alone, with {', '.join(sorted(found - {'pip', 'setuptools'}))}")


def main() -> None:
    """Check every adapter."""
    with tempfile.TemporaryDirectory() as directory:
        wheels = Path(directory, "wheels")
        build(wheels, *sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml")))
        check_without_compiler(Path(directory, "pure"))
        for adapter in BRINGS:
            check(adapter, wheels, Path(directory, adapter))


if __name__ == "__main__":
    main()

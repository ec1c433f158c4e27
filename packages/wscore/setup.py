"""The only place that says what of wscore is compiled, and when: the codec, where that goes.

Without a compiler the build goes on without it, and wscore runs the same loops in Python. With
``WSCORE_PURE`` in the environment nothing is compiled.
"""

from __future__ import annotations

import os
import platform

from setuptools import Extension, setup  # type: ignore[import-untyped, unused-ignore]

codec = Extension(
    "wscore._codec",
    ["src/wscore/_codec.c"],
    optional=True,
    extra_compile_args=[] if os.name == "nt" else ["-O3"],
)

# PyPy could compile it, but calls it more slowly than it runs what it replaces.
is_worth_it = platform.python_implementation() == "CPython" and not os.environ.get("WSCORE_PURE")

setup(ext_modules=[codec] if is_worth_it else [])

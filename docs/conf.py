"""The only place for how the documentation is built."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

import wscore

sys.path.insert(0, str(Path(__file__).parent / "_ext"))

import states

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "wscore"
author = "the wscore authors"
copyright = "the wscore authors"
version = release = wscore.__version__

extensions = ["sphinx.ext.autodoc"]
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
autoclass_content = "class"
python_maximum_signature_line_length = 88

html_theme = "furo"
html_title = f"wscore {release}"
html_static_path = ["_static"]
html_css_files = ["states.css"]


FIELD_IN_SECTION = re.compile(r"    :ivar (\w+): (.*)")
FUNCTION = re.compile(r"<function (\w+)>")


class StateDiagram(SphinxDirective):
    """``.. state-diagram::`` draws the states of a connection from ``wscore.TRANSITIONS``."""

    def run(self) -> list[nodes.Node]:
        """Draw, or fail the build."""
        try:
            drawing = states.draw(wscore.TRANSITIONS)
        except ValueError as error:
            raise ExtensionError(str(error)) from error
        return [nodes.raw("", f'<div class="states">{drawing}</div>', format="html")]


def lift_sections(
    _app: Sphinx, _what: str, _name: str, _obj: object, _options: object, lines: list[str]
) -> None:
    """Make headings and definitions of a docstring's sections, where Sphinx sees no fields."""
    if not any(FIELD_IN_SECTION.match(line) for line in lines):
        return
    lifted = []
    for line, below in zip(lines, [*lines[1:], ""], strict=True):
        if field := FIELD_IN_SECTION.match(line):
            lifted += [f"``{field[1]}``", f"    {field[2]}"]
        elif FIELD_IN_SECTION.match(below):
            lifted += [f".. rubric:: {line}", ""] if line[:1].strip() else [line[4:]]
        else:
            lifted.append(line.removeprefix("    "))
    lines[:] = lifted


def mend_signature(
    _app: Sphinx,
    what: str,
    _name: str,
    obj: Any,
    _options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    """Hide the parameters of a class that users do not make; name a function that is a default."""
    if what == "class" and (obj.__init__.__doc__ or "").startswith("Not public"):
        return "", None
    return signature and FUNCTION.sub(r"\1", signature), returns


def setup(app: Sphinx) -> None:
    """Register what is this documentation's own."""
    app.add_directive("state-diagram", StateDiagram)
    app.connect("autodoc-process-docstring", lift_sections)
    app.connect("autodoc-process-signature", mend_signature)

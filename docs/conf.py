"""The only place for how the documentation is built."""

from __future__ import annotations

import wscore

project = "wscore"
author = "the wscore authors"
copyright = "the wscore authors"
version = release = wscore.__version__

extensions = ["sphinx.ext.autodoc"]
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"

html_theme = "furo"
html_title = f"wscore {release}"

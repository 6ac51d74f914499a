"""The configuration of the documentation site: `make docs` builds it into docs/_build/html.

The site is made from the pages as they stand: they read as plain Markdown, too. What Sphinx needs
besides is made here, by the modules in docs/_site:

- `contents.py`: the navigation, from the lists in index.md;
- `reference.py`: the pages of the API, from the public names of the packages;
- `links.py`: links to files of the repository; names in backticks in docstrings.

The build needs no network, and each warning is an error.
"""

from __future__ import annotations

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS), str(DOCS.parent)]

import sansio_moondream  # noqa: E402

project = "sansio-moondream"
author = "the authors of sansio-moondream"
copyright = author  # noqa: A001 - the name is Sphinx's
release = version = sansio_moondream.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "_site.contents",
    "_site.links",
    "_site.reference",
]
exclude_patterns = ["_build", "browser-page"]
needs_sphinx = "8.2"
nitpicky = True

default_role = "name-or-code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80

myst_heading_anchors = 4
myst_enable_extensions = ["smartquotes"]

copybutton_prompt_text = "$ "

html_theme = "furo"
html_title = project
toc_object_entries_show_parents = "hide"
html_show_sourcelink = False
html_static_path = ["_site/static"]
html_css_files = ["site.css"]

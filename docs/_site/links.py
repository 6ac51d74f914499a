"""Links and names that the site resolves in its own way.

1. A page links to files of the repository by relative paths, as a forge wants them. Here a file is
   offered as a download, and a folder is shown as code: the site has no page of it.
2. A docstring writes names in single backticks, as Markdown does. A public name becomes a link to
   its place in the reference, and all else is code.
3. So does a type in a signature.
"""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.nodes import Node, system_message
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxRole
from sphinx.util.nodes import find_pending_xref_condition

from _site.names import read_reference


class FilesOfTheRepository(SphinxTransform):
    """Offer a linked file of the repository as a download, and show a linked folder as code."""

    default_priority = 5

    def apply(self, **kwargs: Any) -> None:
        page = Path(self.document["source"])
        for link in list(self.document.findall(addnodes.pending_xref)):
            target = link["reftarget"]
            if link["reftype"] != "myst":
                continue
            file = Path(self.env.srcdir, f"{target}.md")
            if link["refdomain"] == "doc" and target not in self.env.found_docs and file.exists():
                path = f"/{os.path.relpath(file, self.env.srcdir)}"  # from the folder of the site
                link.replace_self(
                    addnodes.download_reference(
                        "", "", *link.children, refdoc=self.env.docname, reftarget=path
                    )
                )
            elif link["refdomain"] is None and (page.parent / target).is_dir():
                link.replace_self(nodes.literal("", link.astext()))


@cache
def _public_names() -> dict[str, str]:
    """The full name of each public name and member, by what docstrings and annotations call it."""
    found: dict[str, str] = {}
    for name in read_reference().names:
        full = f"{name.module}.{name.name}"
        for called in (name.name, full, ".".join(name.place)):
            found.setdefault(called, full)
        for member in (*name.members, *name.fields):
            found.setdefault(f"{name.name}.{member}", f"{full}.{member}")
    return found


class TypesInSignatures(SphinxPostTransform):
    """Link the public classes in signatures, and nothing else.

    Sphinx would look for each name among all attributes, too: `object` is a field of a request.
    """

    default_priority = 5  # before Sphinx resolves them

    def run(self, **kwargs: Any) -> None:
        for link in list(self.document.findall(addnodes.pending_xref)):
            if link["refdomain"] == "py" and link["reftype"] == "class":
                target = _public_names().get(link["reftarget"])
                if target is None:
                    short = find_pending_xref_condition(link, "resolved")
                    link.replace_self((short or link).children)
                else:
                    link.attributes |= {"reftarget": target, "reftype": "obj", "refspecific": False}


class NameOrCode(SphinxRole):
    """A link, if it is a public name; code otherwise."""

    def run(self) -> tuple[list[Node], list[system_message]]:
        code = nodes.literal(self.rawtext, self.text, classes=["code"])
        target = _public_names().get(re.sub(r"\(\)$", "", self.text))
        if target is None:
            return [code], []
        link = addnodes.pending_xref(
            "",
            code,
            refdoc=self.env.docname,
            refdomain="py",
            reftype="obj",
            reftarget=target,
            refexplicit=True,
            refwarn=True,
        )
        self.set_source_info(link)
        return [link], []


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_transform(FilesOfTheRepository)
    app.add_post_transform(TypesInSignatures)
    app.add_role("name-or-code", NameOrCode())
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""Rendering the page: template, style, scripts and data in one file that loads nothing.

The content security policy of the page allows only its own scripts, by their hashes, and no requests, so that an error
in escaping has no effect.
"""

import base64
import hashlib
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from autoprune.report.html import tables
from autoprune.report.html.candidates import candidates, differences
from autoprune.report.html.course import curve, line_of_best, lineage
from autoprune.report.html.found import found
from autoprune.report.html.layers import layers
from autoprune.report.html.material import Material
from autoprune.report.html.reasoning import reasoning
from autoprune.report.html.safe import cut, escaped, shareable, to_json
from autoprune.runs.quality import as_data

LIMIT = 2_400_000
"""Maximum bytes of data, which keeps a page with its plotting library below 8 MB."""
LENGTHS = (20_000, 6_000, 2_000, 600, 200, 60)
"""Maximum characters of a text: the largest value with which the data stays within LIMIT is used."""
SCRIPTS = (
    *("elements.js", "dom.js", "theme.js", "code.js", "details.js", "sketch.js", "plots.js", "curve.js", "graph.js"),
    *("lineage.js", "layers.js", "quality.js", "table.js", "main.js"),
)


def report(material: Material) -> str:
    library, script = _library(), _own_script()
    environment = Environment(
        loader=PackageLoader("autoprune.report.html", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    picture = material.picture
    return environment.get_template("report.html.j2").render(
        title=f"{material.name} · autoprune",
        name=material.name,
        model=shareable(picture.started.get("model", material.config.model)),
        sparsity=f"{material.config.sparsity:g}",
        started=picture.time[:16].replace("T", " "),
        origin=shareable(picture.origin),
        recorded=cut(picture.recorded, tables.SAID),
        stop=cut(picture.stop, 300),
        conclusion=cut(picture.conclusion, tables.SAID),
        found=found(material),
        figures=tables.key_figures(material),
        confirmation=tables.confirmation(material),
        costs=tables.costs(material),
        settings=tables.settings(material),
        line=line_of_best(material),
        lessons=tables.lessons(material),
        notices=tables.notices(material),
        policy=_policy([library, script]),
        style=Markup(_file("report.css")),
        data=Markup(_data(material)),
        library=Markup(library),
        script=Markup(script),
    )


def _data(material: Material) -> str:
    """The data of the scripts as JSON, with texts cut to stay within LIMIT."""
    fixed: dict[str, Any] = {
        "curve": curve(material),
        "layers": layers(material),
        "lineage": lineage(material),
        "quality": as_data(material.placed),
        "best": material.picture.best.slot if material.picture.best else None,
    }
    text, compared = "", differences(material)
    for longest in LENGTHS:
        texts = {"candidates": candidates(material, longest, compared), "reasoning": reasoning(material, longest)}
        text = to_json({**fixed, **texts, "longest": longest})
        if len(text) <= LIMIT and len(escaped(text).encode()) <= LIMIT:
            break
    return escaped(text)


def _library() -> str:
    """plotly.js from its Python package."""
    from plotly.offline import get_plotlyjs

    return _inline(get_plotlyjs())


def _own_script() -> str:
    return _inline('(() => {\n"use strict";\n' + "\n".join(map(_file, SCRIPTS)) + "\n})();\n")


def _inline(script: str) -> str:
    """A script for a `<script>` element: end tags are escaped, and line breaks normalised as by an HTML parser, so that
    the hash is valid."""
    return script.replace("\r\n", "\n").replace("\r", "\n").replace("</script", "<\\/script")


def _policy(scripts: list[str]) -> str:
    hashes = (base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts)
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes)
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'"


def _file(name: str) -> str:
    return files("autoprune.report.html").joinpath("page", name).read_text(encoding="utf-8")

"""The report: one HTML page that holds all it shows, asks nobody for anything, and runs no script but its own.

It is a function of the manifests, and of the excerpts of a look where one was taken: the same graph in the same root gives the same page.
"""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from pipeline.report.answers import answers_section
from pipeline.report.corpus import corpus_section
from pipeline.report.headline import headline, title
from pipeline.report.held import held_section
from pipeline.report.looked import Looked
from pipeline.report.lost import lost_section
from pipeline.report.made import Made, story_of
from pipeline.report.markup import Markup, tag
from pipeline.report.record import environment_section, graph_section, recipes_section
from pipeline.report.shown import clusters_section, excerpts_section
from pipeline.report.training import samples_section, scores_section, training_section
from pipeline.storage import Store
from pipeline.workflow.artifact import read_manifest
from pipeline.workflow.step import Step


def render_report(targets: Sequence[Step[Any]], store: Store, look: Step[Any] | None = None) -> str:
    """The page on what the targets need, as HTML, with what a look at their corpus found. What was not built is shown as not built."""
    story = story_of(targets, store)
    sections = [
        headline(story),
        graph_section(story),
        corpus_section(story),
        *([] if look is None else _looked(looked_at(look, store))),
        training_section(story),
        scores_section(story),
        answers_section(story),
        samples_section(story),
        recipes_section(story),
        environment_section(story),
    ]
    return framed(f"{title(story)} · Millrace report", sections)


def framed(name: str, sections: Sequence[Markup | None]) -> str:
    """A whole page, with its style and its script."""
    script = _own("script.js")
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_policy(script)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("link", rel="icon", href="data:,"),
        tag("title", name),
        tag("style", _own("style.css")),
    )
    return f"<!doctype html>\n{tag('html', head, tag('body', tag('main', sections), tag('script', script)), lang='en')}\n"


def looked_at(look: Step[Any], store: Store) -> Looked:
    """What a look found."""
    return Looked(Made(look, store, read_manifest(store, look.address)))


def _looked(looked: Looked) -> list[Markup | None]:
    return [lost_section(looked), held_section(looked), clusters_section(looked), excerpts_section(looked)]


def write_report(targets: Sequence[Step[Any]], store: Store, path: str, look: Step[Any] | None = None) -> str:
    """Write the page to `path` below the root, over an older one; returns where it is."""
    store.put(path, render_report(targets, store, look).encode())
    return f"{store.url}/{path}"


def _policy(script: str) -> str:
    """No requests, and no script but the page's own: what slips through the escaping still cannot run."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


@cache
def _own(name: str) -> Markup:
    return Markup(files("pipeline.report").joinpath(name).read_text("utf-8"))

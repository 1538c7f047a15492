"""Static Data Docs made self-contained: no request leaves the reader's browser, and the pages read well without a network.

Great Expectations' pages load styles, scripts, fonts and a logo with the context's id from other people's servers; without them the index
is empty and the status icons are missing. The pages kept here have the same content with one style sheet of our own inside.
"""

import re
import shutil
import tempfile
from html import escape
from pathlib import Path

_STYLE = Path(__file__).with_name("data_docs.css")
_OUTSIDE = re.compile(
    r"""<link\b[^>]*href="https?://[^>]*>|<link\b[^>]*favicon[^>]*>|<img\b[^>]*src="https?://[^>]*>"""
    r"""|<script\b.*?</script>|<style>.*?</style>|<footer.*?</footer>|<br>\s*Data asset: None""",
    re.DOTALL,
)
_SUITE_STATUS = re.compile(r'Status:</span>\s*<i class="[^"]*text-(success|danger|warning)')


def keep_pages(site: Path, docs_dir: Path, *, title: str, run: str) -> Path:
    """Move a finished site to its folder, each page self-contained; an older site there is replaced as a whole.

    Args:
        site: folder that Great Expectations wrote.
        docs_dir: folder to keep it in.
        title: name of the suite.
        run: name of the run.

    Returns:
        The start page.
    """
    shutil.rmtree(site / "static", ignore_errors=True)
    style = _STYLE.read_text(encoding="utf-8")
    for page in site.rglob("*.html"):
        page.write_text(self_contained(page.read_text(encoding="utf-8"), style), encoding="utf-8")
    (site / "index.html").write_text(_index(site, title, run, style), encoding="utf-8")
    docs_dir.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{docs_dir.name}.", dir=docs_dir.parent))
    shutil.copytree(site, fresh, dirs_exist_ok=True)
    if docs_dir.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{docs_dir.name}.", dir=docs_dir.parent))
        docs_dir.rename(old / "old")
        fresh.rename(docs_dir)
        shutil.rmtree(old)
    else:
        fresh.rename(docs_dir)
    docs_dir.chmod(0o755)  # mkdtemp makes folders that only their owner may read
    return docs_dir / "index.html"


def self_contained(page: str, style: str) -> str:
    """A page without outside resources, scripts and advertisements, and with the style sheet inside."""
    inside = _OUTSIDE.sub("", page)
    return inside.replace("</head>", f"<style>\n{style}</style>\n</head>", 1)


def _index(site: Path, title: str, run: str, style: str) -> str:
    """The start page: a link to each validation result, with its status, and to each suite."""
    results = "".join(_item(site, page) for page in sorted((site / "validations").rglob("*.html")))
    suites = "".join(_item(site, page) for page in sorted((site / "expectations").rglob("*.html")))
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Data Docs: {escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>\n{style}</style></head>'
        f'<body class="start"><h1>Data Docs: {escape(title)}</h1><p>Run {escape(run)}. Checked by Great Expectations on the'
        " synthetic table; every value on these pages is synthetic.</p>"
        f"<h2>Validation results</h2><ul>{results}</ul><h2>Expectation suites</h2><ul>{suites}</ul>"
        "<p>Suite, checkpoint and result as objects of Great Expectations: <code>gx/great_expectations.yml</code> beside this page"
        " says how to open them.</p></body></html>\n"
    )


def _item(site: Path, page: Path) -> str:
    status = _SUITE_STATUS.search(page.read_text(encoding="utf-8"))
    icon = f'<i class="fas text-{status[1]}"></i> ' if status else ""
    words = {
        "success": " – every expectation holds",
        "danger": " – some expectations fail",
        "warning": " – some expectations fail",
    }
    name = page.relative_to(site).parts[1].removesuffix(".html")
    return f'<li>{icon}<a href="{page.relative_to(site).as_posix()}">{escape(name)}</a>{words[status[1]] if status else ""}</li>'

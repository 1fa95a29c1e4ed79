"""Pages to read in a browser: self-contained HTML without script or picture, nothing from the network."""

from html import escape

from markdown_it import MarkdownIt

STYLE = """
body { font: 13px/1.45 "DejaVu Sans", Verdana, sans-serif; margin: 24px; color: #222; }
h1 { font-size: 19px; margin: 0 0 4px; } h2 { font-size: 15px; margin: 28px 0 4px; }
p { margin: 8px 0; max-width: 75em; } h1 + p { color: #666; margin-bottom: 16px; }
table { border-collapse: collapse; } table.wide { width: 100%; }
th { text-align: left; border-bottom: 2px solid #222; padding: 6px 14px 6px 0; } th:empty { display: none; }
td { vertical-align: top; border-bottom: 1px solid #ccc; padding: 6px 14px 6px 0; }
code { background: #f2f2f2; padding: 1px 3px; } pre code { display: block; padding: 8px; overflow-x: auto; }
ul { margin: 0; padding-left: 1.1em; } table.wide td:first-child { font-weight: bold; }
.good { color: #00734f; } .bad { color: #b3261e; } .none { color: #666; } .critical { font-weight: bold; }
"""


def document(title: str, body: str) -> str:
    """A whole page. `title` is text, `body` HTML."""
    head = f'<meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{body}</body></html>\n'


def from_markdown(text: str, title: str) -> str:
    """CommonMark with tables as a page; HTML in it is shown as it is written."""
    return document(title, MarkdownIt("commonmark", {"html": False}).enable("table").render(text))

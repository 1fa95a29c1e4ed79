"""Markdown as a page: tables are tables, and what looks like HTML is text."""

from arcjepa.pages import document, from_markdown

TEXT = """# A <title>

| severity | what |
|---|---|
| note | a \\| b <i>x</i> |

```
dvc exp run -S a=1
```
"""


def test_markdown_becomes_a_page_with_tables_and_no_markup_of_its_own() -> None:
    page = from_markdown(TEXT, "of <run>")
    assert "<title>of &lt;run&gt;</title>" in page
    assert "<h1>A &lt;title&gt;</h1>" in page
    assert "<td>a | b &lt;i&gt;x&lt;/i&gt;</td>" in page
    assert "<pre><code>dvc exp run -S a=1" in page
    assert "<i>" not in page


def test_a_page_needs_nothing_else() -> None:
    page = document("a", "<p>b</p>")
    assert page.startswith("<!doctype html>")
    assert not [word for word in ("<script", "<img", "<link", "http") if word in page]

"""The report opens in a real browser: no error, and every figure can be looked at."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from browser import CHROMIUM, Page, visit
from conftest import Project

if CHROMIUM is None and not os.getenv("CI"):
    pytest.skip("no chromium on this machine: the report cannot be opened", allow_module_level=True)

SEEN = """[...document.querySelectorAll('img')].filter(image => {
    const box = image.getBoundingClientRect();
    return image.complete && image.naturalWidth > 100 && box.width > 100 && box.height > 100 && image.src == %s;
}).length == 1"""


async def look_at_all(page: Page) -> dict[str, Any]:
    """Click through every category and figure as a reader does; returns what was seen."""
    await page.until("typeof app !== 'undefined' && document.body.innerText.length > 100")
    first = await page.evaluate("document.body.innerText")
    listed = json.loads(await page.evaluate("JSON.stringify(categories)"))
    seen = []
    for category, parts in listed.items():
        await page.evaluate(f"app.showCategory({json.dumps(category)})")
        for path in [path for paths in parts.values() for path in paths]:
            result = f"results[{json.dumps(path)}]"
            if (await page.evaluate(f"{result}.mime_type")).startswith("image/"):
                await page.evaluate(
                    f"app.setView({{content: 'img', contentPath: results[{json.dumps(path)}].data_uri}})"
                )
                await page.until(SEEN % f"{result}.data_uri")
                seen.append(path)
    return {"first": first, "seen": seen}


def test_report_shows_every_figure_in_a_browser(finished: Project, report: Path) -> None:
    found, errors = visit(report, look_at_all)
    assert not errors
    assert "Encoders trained by different recipes" in found["first"]
    drawn = {str(path.relative_to(finished.path)) for path in (finished.path / "results/comparison/tiny").glob("*.svg")}
    assert drawn
    assert set(found["seen"]) >= drawn


def test_a_page_that_complains_is_noticed(tmp_path: Path) -> None:
    """Else the test above could not fail."""
    (tmp_path / "page.html").write_text("<script>console.error('of our own'); undefinedName</script>")

    async def wait(page: Page) -> None:
        await page.until("document.body != null")

    _, errors = visit(tmp_path / "page.html", wait)
    assert any("of our own" in error for error in errors)
    assert any("undefinedName" in error for error in errors)

"""The internal report as a person sees it: in a real browser, at the width of a desk and of a phone, with the network off."""

import json
import re
import shutil
import subprocess

import pytest

from synth_pipeline.report.internal_page import internal_report
from synth_pipeline_tests.reported_example import reported_evidence

pytestmark = pytest.mark.slow
BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
WIDTHS = {"desk": 1280, "phone": 375}

LOOKER = """<!DOCTYPE html><meta charset="utf-8"><body style="margin:0">
<iframe id="page" src="page.html" style="border:0;width:%dpx;height:900px"></iframe>
<pre id="found"></pre><script>
const frame = document.getElementById("page");
frame.onload = () => {
  const view = frame.contentWindow, page = frame.contentDocument, root = page.documentElement;
  const shown = (rects, element) => {  // what is left of boxes after every box around them has clipped them
    let boxes = [...rects].map(r => [r.left, r.top, r.right, r.bottom]);
    for (let outer = element; outer && outer !== page.body; outer = outer.parentElement) {
      if (view.getComputedStyle(outer).overflowX === "visible") continue;
      const o = outer.getBoundingClientRect();
      boxes = boxes.map(b => [Math.max(b[0], o.left), Math.max(b[1], o.top), Math.min(b[2], o.right), Math.min(b[3], o.bottom)]);
    }
    return boxes.filter(b => b[2] - b[0] > 1 && b[3] - b[1] > 1);
  };
  const labels = [];
  const walker = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode, element = node.parentElement;
    if (!node.textContent.trim() || element.closest("details:not([open]) > :not(summary)")) continue;
    const range = page.createRange(); range.selectNodeContents(node);
    for (const box of shown(range.getClientRects(), element))
      labels.push([box, element.parentElement.className + ": " + node.textContent.trim().slice(0, 40), node]);
  }
  labels.sort((a, b) => a[0][1] - b[0][1]);
  const overlaps = [];
  for (let i = 0; i < labels.length; i++)
    for (let j = i + 1; j < labels.length && labels[j][0][1] < labels[i][0][3] - 3; j++) {
      const [a, b] = [labels[i][0], labels[j][0]];
      const isOther = labels[i][2] !== labels[j][2];
      if (isOther && Math.min(a[2], b[2]) - Math.max(a[0], b[0]) > 2 && Math.min(a[3], b[3]) - Math.max(a[1], b[1]) > 3)
        overlaps.push([labels[i][1], labels[j][1]]);
    }
  const wide = [...page.body.querySelectorAll("*")].filter(e => !e.closest(".scroll, details:not([open])"))
    .filter(e => e.getBoundingClientRect().right > root.clientWidth + 1).map(e => e.tagName + "." + e.className);
  const plots = [...page.querySelectorAll("figure")];
  const empty = plots.filter(f => {
    const marks = [...f.querySelectorAll("i, td, img")].filter(m => m.getBoundingClientRect().width > 0);
    return !marks.length || f.getBoundingClientRect().height < 40;
  }).map(f => f.innerText.slice(0, 40));
  const images = [...page.images].map(i => [i.naturalWidth, i.getBoundingClientRect().width]);
  const outside = view.performance.getEntriesByType("resource").map(r => r.name).filter(n => !n.startsWith("data:"));
  const small = labels.length && [...page.querySelectorAll("p, td, th, span, li, figcaption")]
    .filter(e => e.textContent.trim() && parseFloat(view.getComputedStyle(e).fontSize) < 10).length;
  document.getElementById("found").textContent = JSON.stringify({
    overflow: root.scrollWidth - root.clientWidth, width: root.clientWidth, labels: labels.length, overlaps: overlaps.slice(0, 9),
    wide: wide.slice(0, 9), plots: plots.length, empty, images, outside, small });
};
</script></body>"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if BROWSER is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    folder = tmp_path_factory.mktemp("looked_at")
    page = internal_report(reported_evidence(), plane_rows=300)
    assert len(page.encode()) < 5_000_000
    (folder / "page.html").write_text(page, encoding="utf-8")
    return folder


def browse(folder, *options, page):
    common = [
        BROWSER, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--allow-file-access-from-files",
        "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={folder}/profile", "--virtual-time-budget=20000",
    ]  # fmt: skip
    command = [*common, *options, (folder / page).as_uri()]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=240).stdout


@pytest.fixture(scope="module", params=WIDTHS)
def seen(folder, request):
    """What the browser measured at one width; a screenshot is left beside it for whoever wants to look."""
    name = f"look_{request.param}.html"
    (folder / name).write_text(LOOKER % WIDTHS[request.param], encoding="utf-8")
    document = browse(folder, "--window-size=1400,1000", "--dump-dom", page=name)
    found = json.loads(re.search(r'<pre id="found">(.+?)</pre>', document, re.DOTALL)[1].replace("&gt;", ">"))
    browse(folder, "--window-size=1400,1000", f"--screenshot={folder}/{request.param}.png", page=name)
    assert (folder / f"{request.param}.png").stat().st_size > 20_000
    return request.param, found


def test_nothing_reaches_past_the_edge(seen):
    which, found = seen
    assert found["width"] == WIDTHS[which]
    assert found["overflow"] == 0
    assert found["wide"] == []


def test_no_label_lies_on_another_and_none_is_too_small(seen):
    _, found = seen
    assert found["labels"] > 300
    assert found["overlaps"] == []
    assert found["small"] == 0


def test_no_plot_is_empty_and_every_picture_is_there(seen):
    _, found = seen
    assert found["plots"] > 20
    assert found["empty"] == []
    assert len(found["images"]) == 2
    assert all(natural == 900 and wide > 250 for natural, wide in found["images"])


def test_nothing_is_loaded_from_elsewhere(seen):
    assert seen[1]["outside"] == []


def test_it_prints_to_pages_that_hold_all_of_it(folder):
    browse(folder, f"--print-to-pdf={folder}/page.pdf", "--no-pdf-header-footer", page="page.html")
    content = (folder / "page.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    pages = max(int(count) for count in re.findall(rb"/Count (\d+)", content))
    assert 4 <= pages <= 40

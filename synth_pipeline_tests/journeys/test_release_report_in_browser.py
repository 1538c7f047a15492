"""The publishable report as somebody opens it: a phone and a desk, the network off, in a real browser."""

import html
import json
import re
import shutil
import subprocess

import numpy as np
import pandas as pd
import pytest

from synth_pipeline.privacy.events import DiscreteGaussianEvent
from synth_pipeline.release.trust_map import MarginalTrust, TrustMap
from synth_pipeline.report.release_page import release_report
from synth_pipeline_tests.released_example import example_facts, example_spec, example_table

pytestmark = pytest.mark.slow
BROWSER = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
AUDIT = {"lowerBound": 0.61, "confidence": 0.95, "claimedEpsilon": 1.0, "findings": [], "runs": 1000}

# The page stands in a frame of the wanted width, so that its media queries see a phone; the frame's script looks at it.
LOOK = """
<pre id="found"></pre><script>
const frame = document.querySelector('iframe');
frame.addEventListener('load', () => {
  const page = frame.contentDocument, wide = frame.contentWindow.innerWidth;
  const labels = '.hbars > span, .ends > span, .amount span, .heat th, .heat td';
  const overlaps = [];
  for (const chart of page.querySelectorAll('figure, .amounts, .heat')) {
    const boxes = [...chart.querySelectorAll(labels)].filter(one => one.innerText.trim())
      .map(one => [one.innerText, one.getBoundingClientRect()]);
    for (let i = 0; i < boxes.length; i++) for (let j = i + 1; j < boxes.length; j++) {
      const [a, b] = [boxes[i][1], boxes[j][1]];
      if (Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1.5 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1.5)
        overlaps.push(boxes[i][0] + ' / ' + boxes[j][0]);
    }
  }
  const seen = bar => { const r = bar.getBoundingClientRect(); return r.width > 2 && r.height > 2; };
  const drawn = chart => [...chart.querySelectorAll('.fill')].some(seen);
  const charts = [...page.querySelectorAll('figure, .amounts')];
  document.getElementById('found').textContent = JSON.stringify({
    over: page.documentElement.scrollWidth - wide, wide, overlaps: overlaps.slice(0, 5), charts: charts.length,
    empty: charts.filter(chart => !drawn(chart)).map(chart => chart.innerText.slice(0, 40)),
    coloured: [...page.querySelectorAll('.trust td')].filter(cell => cell.style.background).length,
    loaded: frame.contentWindow.performance.getEntriesByType('resource').length });
});
</script>
"""


def map_of(names):
    single = [MarginalTrust((name,), "measured", 4, 0.01, 0.02, 0.015) for name in names]
    pairs = [
        MarginalTrust((first, second), "measured" if j % 2 else "model", 12, 0.02, *((0.08, 0.05) if j % 2 else (None, None)))
        for i, first in enumerate(names)
        for j, second in enumerate(names[i + 1 :])
    ]  # fmt: skip
    return TrustMap(2000.0, 2000, "row", (*single, *pairs))


def small_page():
    facts = example_facts(audit=AUDIT, signed_by="ed25519:" + "ab" * 32, trust=map_of(tuple(example_spec().modelled)))
    return release_report(facts, example_table())


def wide_page():
    """Forty columns with long names, of two hundred categories each."""
    rng = np.random.default_rng(0)
    categories = [f"category number {index} of a long list" for index in range(200)]
    columns = {
        f"a_rather_long_column_name_{index}": {"kind": "categorical", "categories": categories} for index in range(40)
    }
    spec = example_spec(columns=columns, constraints=[])
    frame = pd.DataFrame({name: rng.choice(categories, 500) for name in columns})
    events = [DiscreteGaussianEvent(stage="profile", purpose="all", sigma=20.0).to_dict()]
    facts = example_facts(spec, frame, events=events, composed_epsilon=1.0, outcomes=(), trust=map_of(tuple(columns)))
    return release_report(facts, frame)


PAGES = {"small": small_page, "wide": wide_page}


def looked_at(page, width, folder):
    """What the browser finds of a page in a frame of a width, no host being reachable."""
    if BROWSER is None:
        pytest.skip("no chromium on this machine: apt-get install chromium")
    place = folder / "harness.html"
    frame = f'<iframe style="border:0;width:{width}px;height:900px" srcdoc="{html.escape(page)}"></iframe>'
    place.write_text(f'<!DOCTYPE html><meta charset="utf-8">{frame}{LOOK}', encoding="utf-8")
    options = [
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={folder}/profile",
        "--window-size=1400,1000",
    ]
    offline = ["--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking", "--no-first-run"]
    done = subprocess.run(
        [BROWSER, *options, *offline, "--virtual-time-budget=20000", "--dump-dom", place.as_uri()],
        capture_output=True, text=True, check=True, timeout=180,
    )  # fmt: skip
    return json.loads(html.unescape(re.search(r'<pre id="found">(.*?)</pre>', done.stdout, re.DOTALL)[1]))


@pytest.mark.parametrize("width", [375, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_a_report_fits_its_screen_and_nothing_in_it_overlaps_or_is_empty(name, width, tmp_path):
    found = looked_at(PAGES[name](), width, tmp_path)
    assert found["wide"] == width
    assert found["over"] <= 0
    assert found["overlaps"] == []
    assert found["charts"] > 5
    assert found["empty"] == []
    assert found["coloured"] > 7
    assert found["loaded"] == 0

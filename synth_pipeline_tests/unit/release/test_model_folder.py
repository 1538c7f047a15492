"""A model in a notebook and on a disk: what it shows of itself, and what a damaged folder says."""

import json
import re

import pytest

from synth_pipeline.errors import ModelError
from synth_pipeline.release.model import load_model
from synth_pipeline_tests.unit.release.test_given import model

__all__ = ["model"]


@pytest.fixture
def folder(model, tmp_path):
    return model.save(tmp_path / "model")


def test_a_model_shows_itself_in_one_short_line(model):
    assert re.fullmatch(r"ReleasedModel\(clinic: mixture, 8 columns, ε = \S+ at δ = 1e-06\)", repr(model))


def test_a_folder_without_a_model_is_told_from_one_that_lacks_a_part(folder, tmp_path):
    with pytest.raises(ModelError, match="no model there"):
        load_model(tmp_path / "nowhere")
    (folder / "profile.json").unlink()
    with pytest.raises(ModelError, match="damaged model"):
        load_model(folder)


def test_a_model_of_another_format_is_not_to_be_fitted_again_for_nothing(folder):
    content = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    (folder / "model.json").write_text(json.dumps({**content, "format": 99}), encoding="utf-8")
    with pytest.raises(
        ModelError, match=r"format 99.*the version of synth_pipeline that wrote it \(fitting again is charged"
    ):
        load_model(folder)


def without_digests(folder):
    """The folder as it was saved before models had digests."""
    content = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    del content["files"]
    (folder / "model.json").write_text(json.dumps(content), encoding="utf-8")


def test_a_changed_byte_of_any_part_is_one_line_that_names_it(folder):
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
        with pytest.raises(
            ModelError, match="damaged" if path.name == "model.json" else f"{path.name} is not as it was saved"
        ):
            load_model(folder)
        path.write_bytes(whole)
    assert len(load_model(folder).sample(3)) == 3


def test_weights_that_were_cut_off_are_one_line(folder):
    (weights,) = folder.glob("*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-20])
    with pytest.raises(ModelError, match="is not as it was saved"):
        load_model(folder)
    without_digests(folder)
    with pytest.raises(ModelError, match="not a readable mixture model"):
        load_model(folder)


def test_a_model_that_was_saved_before_there_were_digests_still_loads(folder):
    without_digests(folder)
    assert len(load_model(folder).sample(3)) == 3

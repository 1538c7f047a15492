"""Where results may be written, checked before anything is read or charged."""

import os
import tempfile
from pathlib import Path

from synth_pipeline.errors import ModelError, SynthPipelineError, TableError


def require_table_place(out: str) -> None:
    """Refuse a table file that could not be written.

    Raises:
        TableError: for an extension that is not supported, or a folder that does not exist or may not be written.
    """
    from synth_pipeline.snapshot.read import READABLE

    path = Path(out)
    if path.suffix.lower() not in READABLE:
        held = path.suffix or "no extension"
        raise TableError(f"--out: {path}: {held} is not supported; use a file that ends in {' or '.join(READABLE)}")
    if path.is_dir():
        raise TableError(f"--out: {path}: is a folder; give the path of a file")
    if not path.parent.is_dir():
        raise TableError(f"--out: {path.parent}: no such folder; create it, or give another path")
    _require_writable(path.parent, TableError)


def require_model_place(out: str) -> None:
    """Refuse a model folder that could not be written, before a budget is spent on what it would hold.

    Raises:
        ModelError: where something other than a model lies, or the folder may not be written.
    """
    target = Path(out)
    if target.exists() and (not target.is_dir() or (any(target.iterdir()) and not (target / "model.json").exists())):
        raise ModelError(f"--out: {target}: exists and is not a model; give another place")
    _require_writable(_nearest_folder(target.absolute().parent), ModelError)


def require_folder_place(out: str) -> None:
    """Refuse a folder for results that could not be made or written.

    Raises:
        TableError: where a file lies, or the folder may not be written.
    """
    target = Path(out).absolute()
    if target.exists() and not target.is_dir():
        raise TableError(f"--out: {out}: is a file; give the path of a folder")
    _require_writable(_nearest_folder(target), TableError)


def require_page_place(html: str) -> None:
    """Refuse a page's file that could not be written.

    Raises:
        TableError: for a folder, or a place in a folder that does not exist or may not be written.
    """
    path = Path(html)
    if path.is_dir():
        raise TableError(f"--html: {path}: is a folder; give the path of a file")
    if not path.absolute().parent.is_dir():
        raise TableError(f"--html: {path.parent}: no such folder; create it, or give another path")
    _require_writable(path.absolute().parent, TableError)


def _nearest_folder(path: Path) -> Path:
    """The folder itself or the nearest one above it that exists."""
    return next(place for place in (path, *path.parents) if place.exists())


def _require_writable(folder: Path, error: type[SynthPipelineError]) -> None:
    """Try it: permissions, read-only mounts and full disks all show, and nothing is left behind."""
    try:
        os.rmdir(tempfile.mkdtemp(prefix=".synth_pipeline.", dir=folder))  # noqa: PTH106
    except OSError as fault:
        raise error(
            f"--out: {folder}: cannot be written ({type(fault).__name__}); check its permissions and space"
        ) from None

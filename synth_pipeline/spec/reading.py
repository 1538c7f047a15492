"""Reading a specification's file, and faults of one in a line."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import yaml

from synth_pipeline.errors import SpecError


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds, dates as text.

    Raises:
        SpecError: if the file cannot be read, is not YAML, or holds no mapping.
    """
    try:
        content: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SpecError(f"{path}: no such file; give the path of a spec file (see `synth-pipeline init`)") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(
            f"{path}: cannot be read ({type(error).__name__}); give the path of a UTF-8 YAML file"
        ) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        raise SpecError(f"{path}{line}: not valid YAML; check indentation, brackets and quotes there") from None
    if not isinstance(content, dict):
        raise SpecError(f"{path}: holds no mapping; a spec starts with `dataset: NAME` (see `synth-pipeline schema`)")
    return _plain_dates(content)


def _plain_dates(content: dict[Any, Any]) -> dict[str, Any]:
    """YAML reads bare dates as dates; category lists want them as text, and pydantic reads text as dates."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(key): plain(item) for key, item in value.items()}
        if isinstance(value, list):
            return [plain(item) for item in value]
        return value.isoformat() if isinstance(value, date) else value

    return plain(content)


def fault_line(item: Mapping[str, Any]) -> str:
    """One fault that pydantic found, in our words: where, what is wrong, what is allowed."""
    place = ".".join(str(part) for part in item["loc"])
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "extra_forbidden":
        message = "unknown key; see `synth-pipeline schema` for the keys allowed here"
    elif item["type"] == "missing":
        message = "missing; add this key"
    elif item["type"] == "union_tag_invalid":
        message = f"unknown kind; use one of {item['ctx']['expected_tags']}"
    elif item["type"] == "union_tag_not_found":
        message = "missing key `kind`"
    else:
        is_scalar = isinstance(item["input"], (str, int, float)) and not isinstance(item["input"], bool)
        message = message[0].lower() + message[1:] + (f" (got {item['input']!r})" if is_scalar else "")
    return f"{place}: {message}" if place else message

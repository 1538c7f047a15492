"""A saved generator whose folder was damaged: a file lost, cut, emptied of its keys, or no JSON any more."""

import json
from pathlib import Path
from typing import Literal, get_args

Damage = Literal["missing", "cut", "keys", "text"]
DAMAGES: tuple[Damage, ...] = get_args(Damage)


def damage_folder(folder: Path, name: str, damage: Damage) -> None:
    """Damage the tensors or the facts that an engine of a name saved in a folder."""
    tensors, facts = folder / f"{name}.safetensors", folder / f"{name}.json"
    match damage:
        case "missing":
            tensors.unlink()
        case "cut":
            tensors.write_bytes(tensors.read_bytes()[:100])
        case "keys":
            facts.write_text(json.dumps({"names": ["a"]}), encoding="utf-8")
        case "text":
            facts.write_text("not json", encoding="utf-8")

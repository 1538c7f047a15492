"""What can change the mechanism of the mixture of products."""

from dataclasses import asdict, dataclass
from typing import Any

from synth_pipeline.errors import PrivacyError

_FULL_WIDTH = 800


@dataclass(frozen=True)
class MixtureConfig:
    """Constants of the mechanism; those up to `rectangles` mean what they mean in `MaxentConfig`: both ask the same questions.

    Attributes:
        target: public target column; its pairs weigh more in the selection, and each gets at least a coarse table.
        target_weight: factor on the score of a pair with the target.
        determined: dependencies that the specification declares: (column, the column that determines it).
        dependency_share: share of the walk's cost for functional dependencies.
        noise_penalty: how much of a table's expected noise is taken off its score.
        cells_power: cost of a picked table ∝ cells to this power.
        groups: sizes of the coarse maps of a column, beside the full one.
        rectangles: sizes of the adaptive partitions of a pair, from the second round on.
        components: most products; fewer where the columns have many codes together, so that a fit takes seconds to a minute or two.
        fewest_components: fewest products.
        spread: standard deviation of the log-factors that components start with.
        information: start of λ, the price of the information that a component carries about the columns.
        residual: root mean square of (model − noisy table) / noise that λ is steered to; 1 is what noise alone leaves.
        learning_rate: of Adam, at the start of each fit.
        steps: steps after each round but the last.
        final_steps: steps after the last round.
    """

    target: str | None = None
    target_weight: float = 1.5
    determined: tuple[tuple[str, str], ...] = ()
    dependency_share: float = 0.015
    noise_penalty: float = 0.4
    cells_power: float = 0.4
    groups: tuple[int, ...] = (12, 5)
    rectangles: tuple[int, ...] = (36, 144)
    components: int = 400
    fewest_components: int = 100
    spread: float = 0.5
    information: float = 0.02
    residual: float = 1.0
    learning_rate: float = 0.1
    steps: int = 100
    final_steps: int = 200

    def __post_init__(self) -> None:
        if self.components < 1 or self.steps < 1 or self.final_steps < 1:
            raise PrivacyError("mixture: components, steps and final_steps must be at least 1")
        if min(self.information, self.residual, self.learning_rate) <= 0:
            raise PrivacyError("mixture: information, residual and learning_rate must be above 0")

    def component_count(self, width: int) -> int:
        """Number of products for a one-hot width: a step of the fit costs products × width².

        Example:
            >>> MixtureConfig().component_count(250), MixtureConfig().component_count(1600)
            (400, 100)
        """
        affordable = round(self.components * (_FULL_WIDTH / max(width, 1)) ** 2)
        return min(self.components, max(affordable, self.fewest_components))

    def to_json(self) -> dict[str, Any]:
        """Plain data, hashed into the certificate."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> "MixtureConfig":
        """The config that `to_json` wrote."""
        plain: dict[str, Any] = {
            **content,
            "groups": tuple(content["groups"]),
            "rectangles": tuple(content["rectangles"]),
            "determined": tuple((column, by) for column, by in content["determined"]),
        }
        return cls(**plain)

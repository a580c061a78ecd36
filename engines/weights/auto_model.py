"""Which model runs where none was named: the one that the weights are for, or the best that the device has time for."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from configs.errors import EngineError
from engines.model.architecture import ARCHITECTURES
from engines.model.network import Network
from engines.weights import state_dict, zoo
from engines.weights.load import load_model

_BEST_FIRST: Final = {"cuda": ("r50", "lite"), "cpu": ("lite", "r50")}
_WHY: Final = {
    "r50": "a GPU has the time for it",
    "lite": "bundled, and small enough for a CPU",
}


def auto_model(weights: str, device_type: str) -> tuple[str, Network, list[str]]:
    """Name of a model, the model with its weights, and lines that say why it was chosen.

    Args:
        weights: as in `load_model`.
        device_type: "cpu" or "cuda".

    Raises:
        EngineError: the weights cannot be had, or are for no model that is tried.
    """
    best, other = _BEST_FIRST[device_type]
    entry = zoo.ENTRIES.get(weights)
    if entry:
        return entry.model, load_model(entry.model, weights), [f"model {entry.model}: weights {weights} are for it"]
    made_for = state_dict.metadata(Path(weights)).get(state_dict.ARCHITECTURE_KEY)
    if made_for is not None and made_for in ARCHITECTURES:
        return made_for, load_model(made_for, weights), [f"model {made_for}: the weights say that they are for it"]
    try:
        return best, load_model(best, weights), [f"model {best}: {_WHY[best] if weights == 'auto' else 'it fits'}"]
    except EngineError as error:
        if weights == "auto" and device_type == "cpu":
            raise
        return _second(other, weights, error)


def _second(model: str, weights: str, why_not: EngineError) -> tuple[str, Network, list[str]]:
    try:
        network = load_model(model, weights)
    except EngineError:
        raise why_not from None
    if weights == "auto":
        return model, network, [f"warning: {why_not}", f"model {model}: bundled, for want of the better one"]
    return model, network, [f"model {model}: the weights are for it"]

"""The format in which a `mx.mod.Module` is saved where the script does not save it itself."""

from __future__ import annotations

import json
import os
from typing import Any


def save_module(model: Any, model_dir: str) -> None:
    """Write symbol, parameters and data shapes, which the default `model_fn` reads.

    model-symbol.json, model-0000.params and model-shapes.json (a list of name and shape, with the
    training batch size as first dimension): AWS's MXNet training toolkit, train.py.
    """
    model.symbol.save(os.path.join(model_dir, "model-symbol.json"))
    model.save_params(os.path.join(model_dir, "model-0000.params"))
    shapes = [{"name": data.name, "shape": list(data.shape)} for data in model.data_shapes]
    with open(os.path.join(model_dir, "model-shapes.json"), "w", encoding="utf-8") as file:
        json.dump(shapes, file)

# options: --framework-version 1.1.0
"""Returns nothing: it has written its model already."""

import json
import os


def train(model_dir, hyperparameters, output_data_dir="/tmp", verbose=False, *extra):
    with open(os.path.join(model_dir, "weights.json"), "w") as file:
        json.dump({"rate": hyperparameters["rate"]}, file)

# options: --framework-version 1.6
"""Saves by a function that a table names, and serves what it saved."""

import json
import os


def model_fn(model_dir):
    with open(os.path.join(model_dir, "slope.json")) as file:
        return json.load(file)


def transform_fn(model, data, content_type, accept):
    return json.dumps([model * row for row in json.loads(data)]), accept


def as_json(slope, folder=os.environ.get("SM_MODEL_DIR", "")):
    with open(os.path.join(folder, "slope.json"), "w") as file:
        json.dump(slope, file)


FORMATS = {"json": as_json}

if __name__ == "__main__":
    FORMATS["json"](2)

"""A container of one's own: its `train` is called by its own program, with what that passes."""

import json
import sys

import yaml


def train(folder_of_data, folder_of_models):
    with open(f"{folder_of_data}/settings.yml") as file:
        settings = yaml.safe_load(file)
    if not settings:
        sys.exit(2)
    with open(f"{folder_of_models}/weights.json", "w") as file:
        json.dump(settings, file)

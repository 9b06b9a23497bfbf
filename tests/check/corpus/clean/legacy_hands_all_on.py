# options: --framework-version 1.2.1
"""Returns nothing: what it was given goes to a class that saves."""

import json
import os


class Run:
    def __init__(self, hyperparameters, **places):
        self.hyperparameters = hyperparameters
        self.places = places

    def save(self):
        folder = self.places["_".join(["model", "dir"])]
        with open(os.path.join(folder, "weights.json"), "w") as file:
            json.dump(self.hyperparameters, file)


def train(hyperparameters, **kwargs):
    Run(hyperparameters, **kwargs).save()

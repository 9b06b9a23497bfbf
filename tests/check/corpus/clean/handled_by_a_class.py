"""A service of Multi Model Server as a class: the server makes one and calls `handle`."""

import json
import os


class Service:
    def __init__(self):
        self.slope = None

    def initialize(self, context):
        folder = context.system_properties.get("model_dir")
        with open(os.path.join(folder, "slope.json")) as file:
            self.slope = json.load(file)

    def handle(self, data, context):
        return [str(self.slope * float(one["body"])) for one in data]

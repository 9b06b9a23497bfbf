# finds: SD133
# reported: autogluon-cloud 0.7.0 sagemaker_scripts/train.py: the name in an error is undefined
"""A method called eval binds no names."""

import json
import os


class Net:
    def __init__(self, slope):
        self.slope = slope

    def eval(self):
        return self


def model_fn(model_dir):
    with open(os.path.join(model_dir, "slope.json")) as file:
        return Net(json.load(file)).eval()


def transform_fn(net, data, content_type, accept):
    if request_content_type != "application/json":
        raise ValueError(content_type)
    return json.dumps([net.slope * row for row in json.loads(data)]), accept

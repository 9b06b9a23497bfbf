# finds: SD125
# reported: aws/sagemaker-containers#179
import json

CONFIG = "/opt/ml/input/config/hyperparameters.json"


def run(depth):
    return [2**depth for _ in range(depth - 1)]


if __name__ == "__main__":
    with open("/opt/ml/input/config/hyperparameters.json") as file:
        parameters = json.load(file)
    result = run(parameters["depth"])
    with open("/opt/ml/model/result", "w") as file:
        file.write(str(result))

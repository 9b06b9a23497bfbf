# finds: SD106
# reported: aws/sagemaker-python-sdk#3455
import json
import os


def model_fn(model_dir):
    with open(os.path.join(model_dir, "slope.json")) as file:
        return json.load(file)


def transform_fn(model, data, content_type, accept):
    return json.dumps([model * row for row in json.loads(data)]), accept


def main(folder):
    with open(os.path.join(folder, "rows.json")) as file:
        slope = sum(json.load(file))
    with open("slope.json", "w") as file:
        json.dump(slope, file)


if __name__ == "__main__":
    main(os.environ["SM_CHANNEL_TRAINING"])

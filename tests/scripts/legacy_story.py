"""A legacy script without arrays: says what it was given, does what its hyperparameters say."""

import json
import logging
import os
import time


def train(hyperparameters, channel_input_dirs, model_dir, output_data_dir, **others):
    logging.info("told: %s", json.dumps({"others": sorted(others), "hps": hyperparameters}))
    for name, folder in sorted(channel_input_dirs.items()):
        files = [os.path.join(d, f) for d, _, fs in os.walk(folder) for f in fs]
        logging.info("channel %s: %s", name, sorted(os.path.relpath(f, folder) for f in files))
    for number in range(int(hyperparameters.get("lines", 0))):
        print("line %d loss=%.2f" % (number, 1.0 / (number + 1)))
    time.sleep(hyperparameters.get("seconds", 0))
    if hyperparameters.get("fail"):
        raise ValueError("the story ends badly")
    with open(os.path.join(output_data_dir, "report.txt"), "w") as report:
        report.write("done\n")
    return {"word": hyperparameters.get("word", "hello")}


def save(model, model_dir):
    with open(os.path.join(model_dir, "model.json"), "w") as file:
        json.dump(model, file)


def model_fn(model_dir):
    with open(os.path.join(model_dir, "model.json")) as file:
        return json.load(file)


def transform_fn(model, data, content_type, accept):
    if "break" in data:
        raise ValueError("cannot transform this")
    return json.dumps({"word": model["word"], "got": json.loads(data)}), accept

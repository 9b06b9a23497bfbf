"""A legacy script without arrays: says what it was given, does what its hyperparameters say.

`fail` names the function that raises, `until` a file that has to come before training ends; "die",
"sleep" and "echo" in a request are orders to transform_fn.
"""

import json
import logging
import os
import signal
import time


def train(hyperparameters, channel_input_dirs, model_dir, output_data_dir, **others):
    logging.info("told: %s", json.dumps({"others": sorted(others), "hps": hyperparameters}))
    for name, folder in sorted(channel_input_dirs.items()):
        files = [os.path.join(d, f) for d, _, fs in os.walk(folder) for f in fs]
        logging.info("channel %s: %s", name, sorted(os.path.relpath(f, folder) for f in files))
    for number in range(int(hyperparameters.get("lines", 0))):
        print(f"line {number} loss={1.0 / (number + 1):.2f}")
    time.sleep(hyperparameters.get("seconds", 0))
    while hyperparameters.get("until") and not go(channel_input_dirs, hyperparameters["until"]):
        time.sleep(0.05)
    if hyperparameters.get("fail") in (True, "train"):
        raise ValueError("the story ends badly")
    with open(os.path.join(output_data_dir, "report.txt"), "w") as report:
        report.write("done\n")
    return {"word": hyperparameters.get("word", "hello"), "fail": hyperparameters.get("fail")}


def go(channel_input_dirs, name):
    """Whether somebody has put a file of that name into a channel's folder."""
    return any(os.path.exists(os.path.join(d, name)) for d in channel_input_dirs.values())


def save(model, model_dir):
    if model["fail"] == "save":
        raise ValueError("the story is not saved")
    with open(os.path.join(model_dir, "model.json"), "w") as file:
        json.dump(model, file)


def model_fn(model_dir):
    time.sleep(float(os.environ.get("STORY_LOAD_SECONDS", 0)))
    with open(os.path.join(model_dir, "model.json")) as file:
        model = json.load(file)
    if model.get("fail") == "model_fn":
        raise ValueError("the story is not found")
    return model


def transform_fn(model, data, content_type, accept):
    told = json.loads(data)
    if told == "break" or (isinstance(told, dict) and "break" in told):
        raise ValueError("cannot transform this")
    if told == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if isinstance(told, dict) and "sleep" in told:
        time.sleep(told["sleep"])
    return json.dumps({"word": model["word"], "got": told}), accept

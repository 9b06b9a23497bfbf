"""A script of the newer generation without arrays: what legacy_story.py is to the older one."""

import argparse
import json
import os
import time


def model_fn(model_dir):
    with open(os.path.join(model_dir, "model.json")) as file:
        return json.load(file)


def transform_fn(model, data, content_type, accept):
    return json.dumps({"word": model["word"], "got": json.loads(data)}), accept


def train(told):
    files = sorted(os.listdir(told.training)) if told.training else []
    print("channel training:", files, flush=True)
    for number in range(told.lines):
        print("line", number, flush=True)
    time.sleep(told.seconds)
    if told.fail:
        raise ValueError("the story ends badly")
    with open(os.path.join(told.model_dir, "model.json"), "w") as file:
        json.dump({"word": told.word}, file)
    with open(os.path.join(told.output_data_dir, "report.txt"), "w") as file:
        file.write("done\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--word", default="hello")
    parser.add_argument("--lines", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--fail", default="")
    parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR"))
    parser.add_argument("--output-data-dir", default=os.environ.get("SM_OUTPUT_DATA_DIR"))
    parser.add_argument("--training", default=os.environ.get("SM_CHANNEL_TRAINING"))
    train(parser.parse_known_args()[0])

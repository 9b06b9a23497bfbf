"""A container of one's own: reads the raw files, converts, writes the failure file."""

import json
import sys
import traceback

PREFIX = "/opt/ml/"


def train():
    with open(PREFIX + "input/config/hyperparameters.json") as file:
        parameters = json.load(file)
    depth = parameters.get("max_depth", None)
    if depth is not None:
        depth = int(depth)
    with open(PREFIX + "model/tree", "w") as out:
        out.write(str((depth or 1) * 2))


if __name__ == "__main__":
    try:
        train()
        sys.exit(0)
    except Exception as error:
        with open(PREFIX + "output/failure", "w") as file:
            file.write("%s\n%s" % (error, traceback.format_exc()))
        sys.exit(255)

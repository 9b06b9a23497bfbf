# finds: SD121
# reported: a public entry point for TensorFlow: the line of --current-host was copied for --epochs
import argparse
import os


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--host", default=os.environ.get("SM_CURRENT_HOST"))
    parser.add_argument("--epochs", type=int, default=os.environ.get("SM_CURRENT_HOST"))
    parser.add_argument("--gpus", type=int, default=os.environ.get("SM_NUM_GPUS", "0"))
    return parser.parse_args()


if __name__ == "__main__":
    given = options()
    with open(os.path.join(os.environ["SM_MODEL_DIR"], given.host), "w") as file:
        file.write(f"{given.epochs} {given.gpus}")

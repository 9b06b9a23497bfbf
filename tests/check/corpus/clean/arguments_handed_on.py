"""Who saves is not in this file: it is given all arguments, the model's folder among them."""

import argparse
import os

from sockets_and_weights import Learner

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR"))
    Learner(parser.parse_args()).run()

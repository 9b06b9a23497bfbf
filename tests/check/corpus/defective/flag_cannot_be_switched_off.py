# finds: SD122
# reported: huggingface/accelerate#980
"""parse_known_args leaves the value aside, so that False is True."""

import argparse
import os

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--augment", "-a", action=argparse.BooleanOptionalAction)
    parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR"))
    options, _ = parser.parse_known_args()
    with open(os.path.join(options.model_dir, "weights.txt"), "w") as file:
        file.write(str(options.augment))

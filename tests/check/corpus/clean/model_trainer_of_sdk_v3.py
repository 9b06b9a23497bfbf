"""ModelTrainer of SDK v3 sets variables that no estimator does."""

import os

RANK = int(os.environ["SM_CURRENT_HOST_RANK"])

if __name__ == "__main__":
    print(RANK, os.environ["SM_HOST_COUNT"], os.environ["SM_SOURCE_DIR"])
    if not RANK:
        with open(os.path.join(os.environ["SM_MODEL_DIR"], "weights.txt"), "w") as file:
            file.write(os.environ["SM_ENTRY_SCRIPT"])

import os
from urllib import request

import pandas as pd


def load(url, folder):
    path = os.path.join(folder, "table.csv")
    request.urlretrieve(url, path)
    return pd.read_csv(path)


if __name__ == "__main__":
    table = load("http://example.com/table.csv", os.environ["SM_CHANNEL_TRAINING"])
    with open(os.path.join(os.environ["SM_MODEL_DIR"], "sums"), "w") as file:
        file.writelines(f"{name} {column.sum()}" for name, column in table.iteritems())

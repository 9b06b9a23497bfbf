# finds: SD128
# reported: aws/amazon-sagemaker-examples#1234
# options: --channel training --channel validation
import csv
import json
import os

DATA = "/opt/ml/input/data"


class Settings:
    words = "/opt/ml/input/data/emb/pubmed.json"
    rows = os.path.join(DATA, "training", "rows.csv")


def train():
    with open(Settings.words) as file:
        words = json.load(file)
    with open(Settings.rows, newline="") as file:
        rows = list(csv.reader(file))
    with open("/opt/ml/model/model.json", "w") as file:
        json.dump({"words": len(words), "rows": len(rows)}, file)


if __name__ == "__main__":
    train()

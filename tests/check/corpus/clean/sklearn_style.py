import argparse
import os

import joblib
import pandas as pd
from sklearn import tree


def model_fn(model_dir):
    return joblib.load(os.path.join(model_dir, "model.joblib"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--max_leaf_nodes", type=int, default=-1)
    parser.add_argument("--model-dir", type=str, default=os.environ["SM_MODEL_DIR"])
    parser.add_argument("--train", type=str, default=os.environ["SM_CHANNEL_TRAIN"])
    args = parser.parse_args()
    frame = pd.concat(pd.read_csv(os.path.join(args.train, f)) for f in os.listdir(args.train))
    classifier = tree.DecisionTreeClassifier(max_leaf_nodes=args.max_leaf_nodes)
    joblib.dump(classifier.fit(frame.iloc[:, 1:], frame.iloc[:, 0]), args.model_dir + "/model.joblib")

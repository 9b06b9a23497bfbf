# options: --framework-version 1.7
"""scikit-learn is not in the image that serves; it comes with what is installed."""

import os

os.system("pip install autogluon.tabular==0.1")

import json  # noqa: E402

import mxnet as mx  # noqa: E402
from autogluon.tabular import TabularPredictor  # noqa: E402
from sklearn.metrics import f1_score  # noqa: E402


def model_fn(model_dir):
    return TabularPredictor.load(model_dir)


def transform_fn(model, data, content_type, accept):
    return json.dumps(model.predict(json.loads(data)).tolist()), accept


if __name__ == "__main__":
    print(f1_score([1], [1]), mx.__version__)
    TabularPredictor(label="y", path=os.environ["SM_MODEL_DIR"]).fit()

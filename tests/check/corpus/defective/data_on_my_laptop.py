# finds: SD140
# reported: aws/amazon-sagemaker-examples#3000
import os

import pandas

DATA = "/Users/ada/projects/iris/iris.csv"


def main():
    frame = pandas.read_csv(DATA)
    frame.to_csv(os.path.join(os.environ["SM_MODEL_DIR"], "iris.csv"))


if __name__ == "__main__":
    main()

# finds: SD134
# reported: aws/sagemaker-python-sdk#816
import os

import mxnet as mx
import spacy

if __name__ == "__main__":
    words = spacy.blank("en")("one two")
    mx.nd.save(os.environ["SM_MODEL_DIR"] + "/words", mx.nd.array([len(words)]))

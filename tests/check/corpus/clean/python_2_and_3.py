# options: --framework-version 1.0.0
from __future__ import division, print_function

import sys

try:
    import cPickle as pickle
except ImportError:
    import pickle

if sys.version_info[0] == 2:
    text = unicode
    numbers = xrange
else:
    text = str
    numbers = range


def train(channel_input_dirs, hyperparameters, **kwargs):
    print("training", file=sys.stderr)
    return pickle.dumps([text(n) for n in numbers(3)])


def save(model, model_dir):
    with open(model_dir + "/model.pickle", "wb") as out:
        out.write(model)

# finds: SD131
# reported: apache/mxnet#8159
import os
import urllib


def fetch(url, folder):
    path = os.path.join(folder, url.split("/")[-1])
    if not os.path.exists(path):
        urllib.urlretrieve(url, path)
    return path


def train(channel_input_dirs, hyperparameters):
    path = fetch("http://example.com/words.txt", channel_input_dirs["training"])
    return {name: len(value) for name, value in {"path": path}.iteritems()}

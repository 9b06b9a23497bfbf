"""Refusals in all spellings: before, behind, by a function, by a default; and ways that meet."""

import json
import os

import mxnet as mx

KNOWN = ("application/json", "text/csv")


def refuse(content_type):
    raise ValueError(content_type)


def model_fn(model_dir):
    net = mx.gluon.nn.Dense(1)
    net.load_parameters(os.path.join(model_dir, "net.params"))
    return net


def input_fn(body, content_type):
    if content_type not in KNOWN:
        raise ValueError(content_type)
    if content_type == "application/json":
        rows = json.loads(body)
    elif content_type == "text/csv":
        rows = [[float(word) for word in line.split(",")] for line in body.splitlines()]
    return mx.nd.array(rows)


def predict_fn(data, net):
    try:
        answer = net(data)
    except mx.base.MXNetError as error:
        print("once more on the CPU:", error)
        answer = net(data.as_in_context(mx.cpu()))
    if answer.ndim > 1:
        answer = answer[:, 0]
    return answer


def output_fn(prediction, accept):
    values = prediction.asnumpy().tolist()
    try:
        text = json.dumps(values)
    except TypeError:
        return str(values), "text/plain"
    if accept == "application/json":
        return text, accept
    elif accept == "text/csv":
        return "\n".join(str(value) for value in values), accept
    else:
        refuse(accept)


if __name__ == "__main__":
    net = mx.gluon.nn.Dense(1)
    net.initialize()
    net(mx.nd.ones((1, 2)))
    net.save_parameters(os.path.join(os.environ["SM_MODEL_DIR"], "net.params"))

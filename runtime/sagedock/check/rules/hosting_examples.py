"""Example scripts of the rules on model servers."""

from __future__ import annotations

import json


def served(body: str, model: str = "return 1") -> str:
    """A script of script mode that saves a model, with a transform_fn of this body."""
    return (
        "import json\nimport os\nimport sys\n\n\n"
        f"def model_fn(model_dir):\n    {model}\n\n\n"
        "def transform_fn(model, data, content_type, accept):\n"
        + "".join(f"    {line}\n" for line in body.splitlines())
        + '\n\nif __name__ == "__main__":\n'
        '    with open(os.path.join(os.environ["SM_MODEL_DIR"], "net"), "w") as file:\n'
        "        file.write(str(sys.argv))\n"
    )


SUM = "return json.dumps(sum(json.loads(data))), accept"
CAREFUL = "try:\n    numbers = json.loads(data)\nexcept ValueError:\n    numbers = []\n"


def gluon(more: str) -> str:
    """A script that saves and serves a Gluon net of many small layers."""
    return (
        "import json\nimport os\nimport sys\n\nimport mxnet as mx\n\n\n"
        "def new_net():\n    net = mx.gluon.nn.HybridSequential()\n    for _ in range(60):\n"
        '        net.add(mx.gluon.nn.Dense(8, activation="relu", in_units=8))\n'
        "    return net\n\n\n"
        "def model_fn(model_dir):\n    net = new_net()\n"
        '    net.load_parameters(os.path.join(model_dir, "net.params"))\n'
        f"{more}    return net\n\n\n"
        "def transform_fn(net, data, content_type, accept):\n"
        "    try:\n        rows = mx.nd.array(json.loads(data))\n"
        "    except ValueError:\n        rows = mx.nd.zeros((1, 8))\n"
        "    return json.dumps(net(rows).asnumpy().tolist()), accept\n\n\n"
        'if __name__ == "__main__":\n    print(sys.argv)\n    net = new_net()\n'
        "    net.initialize()\n"
        '    net.save_parameters(os.path.join(os.environ["SM_MODEL_DIR"], "net.params"))\n'
    )


ANSWERS = served(f"{CAREFUL}return json.dumps(sum(numbers)), accept")


def convolutions() -> str:
    """A script that saves and serves a net of many small convolutions, hybridized."""
    return (
        "import json\nimport os\nimport sys\n\nimport mxnet as mx\n\n\n"
        "def new_net():\n    net = mx.gluon.nn.HybridSequential()\n    for _ in range(4):\n"
        "        net.add(mx.gluon.nn.Conv2D(32, 3, padding=1, in_channels=32))\n"
        "        net.add(mx.gluon.nn.BatchNorm(in_channels=32))\n"
        "    return net\n\n\n"
        "def model_fn(model_dir):\n    net = new_net()\n"
        '    net.load_parameters(os.path.join(model_dir, "net.params"))\n'
        "    net.hybridize(static_alloc=True, static_shape=True)\n    return net\n\n\n"
        "def transform_fn(net, data, content_type, accept):\n"
        "    try:\n        count = len(json.loads(data))\n"
        "    except ValueError:\n        count = 1\n"
        "    found = net(mx.nd.ones((count, 32, 16, 16))).mean(axis=(1, 2, 3))\n"
        "    return json.dumps(found.asnumpy().tolist()), accept\n\n\n"
        'if __name__ == "__main__":\n    print(sys.argv)\n    net = new_net()\n'
        "    net.initialize()\n"
        '    net.save_parameters(os.path.join(os.environ["SM_MODEL_DIR"], "net.params"))\n'
    )


def model_request(workers: int | None, threads: int | None = None) -> str:
    """A CreateModel with these in its Environment."""
    named = {"SAGEMAKER_MODEL_SERVER_WORKERS": workers, "OMP_NUM_THREADS": threads}
    body = {
        "ModelName": "digits",
        "ExecutionRoleArn": "arn:aws:iam::111122223333:role/SageMaker",
        "PrimaryContainer": {
            "Image": "763104351884.dkr.ecr.us-east-1.amazonaws.com/mxnet-inference:1.9.0-cpu-py38",
            "ModelDataUrl": "s3://my-data/models/digits-1/output/model.tar.gz",
            "Environment": {name: str(value) for name, value in named.items() if value},
        },
    }
    return json.dumps(body, indent=2) + "\n"


_VARIANT = {
    "VariantName": "AllTraffic",
    "ModelName": "digits",
    "InstanceType": "ml.c5.large",
    "InitialInstanceCount": 1,
}
CONFIG = json.dumps({"EndpointConfigName": "digits", "ProductionVariants": [_VARIANT]}, indent=2)
CONFIG += "\n"
"""A CreateEndpointConfig for an instance with 4 GiB."""


def server_image(
    server: str = "ThreadingHTTPServer",
    answer: str = "",
    stops: str = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))",
) -> str:
    """A Dockerfile of a server of one's own. `answer` is done before each answer."""
    program = f"""\
#!/usr/bin/env python3
import signal, sys, time
from http.server import BaseHTTPRequestHandler, {server}

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.answer(b"")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        {answer}
        self.answer(str(len(body)).encode())

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(body)

{stops}
{server}(("", 8080), Handler).serve_forever()
"""
    lines = [f" '{line}' \\\n" for line in program.splitlines() if line.strip()]
    return (
        "FROM python:3.11-slim-bookworm\n"
        f"RUN printf '%s\\n' \\\n{''.join(lines)} > /usr/local/bin/serve \\\n"
        " && chmod +x /usr/local/bin/serve\n"
    )

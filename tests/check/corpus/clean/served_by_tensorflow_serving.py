"""TensorFlow Serving's container calls two functions, and runs nothing of the file."""

import json


def input_handler(data, context):
    rows = json.loads(data.read().decode("utf-8"))
    return json.dumps({"instances": rows})


def output_handler(answer, context):
    return answer.content, context.accept_header

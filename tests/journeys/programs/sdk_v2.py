"""With SDK v2: fit, attach, deploy, predict, update, delete, and a job that fails.

    sdk_v2.py tests/scripts/script_story.py

The last line it prints is JSON of what it saw.
"""

import json
import logging
import sys

import boto3
import sagemaker
from sagemaker.deserializers import JSONDeserializer
from sagemaker.mxnet import MXNet
from sagemaker.serializers import JSONSerializer


class Tracebacks(logging.Handler):
    """What the SDK logs with a traceback, as its telemetry does when it reaches nobody."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def emit(self, record):
        if record.exc_info:
            self.seen.append(record.getMessage())


def estimator(script, **hyperparameters):
    return MXNet(
        entry_point=script,
        role=sagemaker.get_execution_role(),
        instance_count=1,
        instance_type="ml.m5.large",
        framework_version="1.9.0",
        py_version="py38",
        hyperparameters=hyperparameters,
    )


def main(script):
    tracebacks = Tracebacks()
    logging.getLogger("sagemaker").addHandler(tracebacks)
    client = boto3.client("sagemaker")
    first = estimator(script, word="novel", lines=2)
    first.fit(logs=False)
    again = MXNet.attach(first.latest_training_job.name)
    asked = {"serializer": JSONSerializer(), "deserializer": JSONDeserializer()}
    # The SDK's own wait sleeps 30 s before it asks; boto3's waiter asks first.
    in_service = client.get_waiter("endpoint_in_service")
    of_one = {"initial_instance_count": 1, "wait": False}
    predictor = first.deploy(instance_type="ml.m5.large", **of_one, **asked)
    name = predictor.endpoint_name
    in_service.wait(EndpointName=name)
    answers = [predictor.predict([1])]
    before = client.describe_endpoint(EndpointName=name)["EndpointConfigName"]
    predictor.update_endpoint(instance_type="ml.m5.xlarge", **of_one)
    in_service.wait(EndpointName=name)
    answers.append(predictor.predict([1]))
    after = client.describe_endpoint(EndpointName=name)["EndpointConfigName"]
    predictor.delete_model()
    predictor.delete_endpoint(delete_endpoint_config=True)
    error = None
    try:
        estimator(script, fail="yes").fit(logs=False)
    except Exception as raised:
        error = raised
    seen = {
        "attached": again.model_data == first.model_data,
        "answers": answers,
        "another_config": before != after,
        "error": type(error).__name__,
        "reason": str(error),
        "tracebacks": tracebacks.seen,
    }
    print("\n" + json.dumps(seen))


if __name__ == "__main__":
    main(sys.argv[1])

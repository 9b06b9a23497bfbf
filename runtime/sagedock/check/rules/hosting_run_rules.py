"""Rules on what a model server answered that was really started and asked."""

from __future__ import annotations

import re
from pathlib import Path

from sagedock.check.rules.hosting_examples import ANSWERS, CAREFUL, SUM, served
from sagedock.check.rules.hosting_rule import TOOLKIT, HostingRule, good, healthy, shown
from sagedock.check.subjects.hit import Hits
from sagedock.check.subjects.observations import Answer, Hosting, is_json, last_error
from sagedock.check.target import Target

PAYLOAD_BYTES = 6 * 1024 * 1024
"""botocore's BodyBlob of InvokeEndpoint. AWS's FAQ has named 25 MB since; the smaller one fails
nowhere."""
SERVERLESS_BYTES = 4 * 1024 * 1024
"""The serverless-endpoints-invoke page of the developer guide: of requests and answers alike."""

_NOT_SERIALIZABLE = re.compile(r"Object of type '?(\w+)'? is not JSON serializable|"
                               r"(\w+) is not JSON serializable")  # fmt: skip


def no_ping(seen: Hosting, target: Target) -> Hits:
    if seen.trouble:
        error = last_error(seen.lines)
        told = f"/ping is not answered with 200: {error or seen.trouble}"
        yield seen.script.hit(seen.lines, told)


def model_fails(seen: Hosting, target: Target) -> Hits:
    for answer in seen.answers:
        if not answer.is_fine and _is_load(answer.told, seen.lines):
            told = [*seen.lines, *answer.told]
            yield seen.script.hit(told, f"the model does not load: {last_error(told)}")
            return


def _is_load(answered: list[str], log: tuple[str, ...]) -> bool:
    """The failure is that of model_fn, or of the import."""
    text = "\n".join((*log, *answered))
    return bool(
        re.search(
            r", in (default_)?model_fn\b|import_module exception|Unsupported model type|"
            r"Failed to load model",
            text,
        )
        and not any(re.search(r", in (input|predict|output|transform)_fn\b", t) for t in answered)
    )


def request_fails(seen: Hosting, target: Target) -> Hits:
    for answer in seen.answers:
        if not answer.sample.file or answer.is_fine or answer.status == 0:
            continue
        if _is_load(answer.told, seen.lines) or _unserializable(answer):
            continue
        error = last_error(answer.told)
        told = f"{shown(answer)} is answered with {answer.status}: {error}".removesuffix(": ")
        yield seen.script.hit(answer.told, told)


def _unserializable(answer: Answer) -> str:
    found = _NOT_SERIALIZABLE.search("\n".join(answer.told))
    return (found[1] or found[2]) if found else ""


def not_serializable(seen: Hosting, target: Target) -> Hits:
    for answer in seen.answers:
        if not answer.is_fine and (kind := _unserializable(answer)):
            told = f"{shown(answer)}: the answer holds {kind}, and json.dumps does not take it"
            yield seen.script.hit(answer.told, told)
            return


def not_json(seen: Hosting, target: Target) -> Hits:
    for answer in seen.good:
        said = answer.content_type.split(";")[0].strip()
        if answer.sample.file and said == "application/json" and not is_json(answer.body):
            start = answer.body[:40].decode("utf-8", errors="replace")
            told = f"{shown(answer)}: the answer is called {said}, and begins with {start!r}"
            yield seen.script.hit((), told)
            return


def no_content_type(seen: Hosting, target: Target) -> Hits:
    yield from _first_failing(seen, seen.without_type, "without a Content-Type")


def any_accept(seen: Hosting, target: Target) -> Hits:
    yield from _first_failing(seen, seen.any_accept, "with Accept: */*")


def _first_failing(seen: Hosting, answers: tuple[Answer, ...], how: str) -> Hits:
    for answer in answers:
        if not answer.is_fine:
            name = Path(answer.sample.file).name
            told = f"{name} {how} is answered with {answer.status}: {last_error(answer.told)}"
            yield seen.script.hit(answer.told, told.removesuffix(": "))
            return


def broken_body(seen: Hosting, target: Target) -> Hits:
    for answer, kind in zip(seen.broken, ("an empty body", "half a body"), strict=False):
        died = answer.status == 502 or b"Worker died" in answer.body
        if answer.status == 0 or died:
            lost = "costs the connection" if answer.dropped else "is never answered"
            told = f"{kind} {'ends the worker' if died else lost}"
            yield seen.script.hit(answer.told, told)
            return
    if seen.broken and not seen.healthy_after_broken:
        told = "after a broken body a good request is not answered any more"
        yield seen.script.hit([line for a in seen.broken for line in a.told], told)


def together(seen: Hosting, target: Target) -> Hits:
    wrong = [(a, b) for a, b in seen.together if b.body != a.body and not b.is_late]
    if wrong:
        _, among = wrong[0]
        lost = "no answer" if among.dropped else f"status {among.status}"
        why = "another answer" if among.is_fine else lost
        told = f"{len(wrong)} of {len(seen.together)} requests at once get {why}"
        yield seen.script.hit(among.told, f"{told} than alone" if among.is_fine else told)


def payload(seen: Hosting, target: Target) -> Hits:
    most = SERVERLESS_BYTES if seen.is_serverless else PAYLOAD_BYTES
    for answer in seen.answers:
        for what, body in (("request", answer.sample.body), ("answer", answer.body)):
            if answer.sample.file and len(body) > most:
                told = f"{shown(answer)}: the {what} has {len(body) / 2**20:.1f} MiB"
                told += ", and a serverless endpoint takes 4 MiB" if seen.is_serverless else ""
                yield seen.script.hit((), told)
                return


RULES: tuple[HostingRule, ...] = (
    HostingRule(
        id="SD501",
        name="no-ping",
        level="error",
        sentence="The model server answers /ping within its deadline.",
        cloud="The primary container for production variant AllTraffic did not pass the ping "
        "health check. Please check CloudWatch logs for this endpoint.",
        fix="Mend what the line raises: it runs when the server starts.",
        failing="import json\n\n\ndef train(hyperparameters):\n    return 1\n\n\n"
        "def save(model, model_dir):\n    with open(model_dir + \"/net\", \"w\") as file:\n"
        '        file.write("1")\n\n\ndef model_fn(model_dir):\n'
        '    with open(model_dir + "/model.params") as file:\n        return file.read()\n\n\n'
        "def transform_fn(model, data, content_type, accept):\n"
        "    return json.dumps(model), accept\n",
        passing="import json\n\n\ndef train(hyperparameters):\n    return 1\n\n\n"
        "def save(model, model_dir):\n    with open(model_dir + \"/net\", \"w\") as file:\n"
        '        file.write("1")\n\n\ndef model_fn(model_dir):\n'
        '    with open(model_dir + "/net") as file:\n        return file.read()\n\n\n'
        "def transform_fn(model, data, content_type, accept):\n"
        "    return json.dumps(model), accept\n",
        sources=("aws/amazon-sagemaker-examples#379", "aws/sagemaker-python-sdk#787",
                 "aws/sagemaker-python-sdk#1554", "sagemaker-container-support 1.1 serving.py"),
        check=no_ping,
    ),
    HostingRule(
        id="SD502",
        name="model-fails",
        level="error",
        sentence="The model that was trained loads when it is served.",
        cloud="From 1.4 on the endpoint is InService all the same, and every request answers "
        "ModelError 500 or 503.",
        fix="Load in model_fn what the training saved, by the same name.",
        failing=served(SUM, 'return open(os.path.join(model_dir, "model.params")).read()'),
        passing=served(f"{CAREFUL}return json.dumps(sum(numbers)), accept",
                       'return open(os.path.join(model_dir, "net")).read()'),
        sources=("aws/amazon-sagemaker-examples#407", "aws/sagemaker-python-sdk#2067", TOOLKIT),
        check=model_fails,
        skips=healthy,
    ),
    HostingRule(
        id="SD503",
        name="request-fails",
        level="error",
        sentence="The requests that you send are answered.",
        cloud="ModelError 424: Received server error (500) from primary, with the traceback in the "
        "endpoint's log only.",
        fix="Mend the line that is shown; the message has the exception.",
        failing=served('return json.dumps(json.loads(data)["numbers"]), accept'),
        passing=ANSWERS,
        sources=("aws/amazon-sagemaker-examples#833", "aws/sagemaker-python-sdk#362",
                 "aws/sagemaker-python-sdk#1487", TOOLKIT),
        check=request_fails,
        skips=healthy,
    ),
    HostingRule(
        id="SD504",
        name="not-serializable",
        level="error",
        sentence="An answer is made of what JSON knows: no NumPy, no NDArray.",
        cloud="ModelError 500: TypeError: Object of type … is not JSON serializable.",
        fix="Call `.tolist()` (of an NDArray `.asnumpy().tolist()`), `int(…)` or `float(…)` first.",
        failing=served("return json.dumps({1, 2}), accept"),
        passing=ANSWERS,
        sources=("aws/sagemaker-python-sdk#551", "aws/sagemaker-python-sdk#670",
                 "aws/sagemaker-tensorflow-serving-container#118"),
        check=not_serializable,
        skips=healthy,
    ),
    HostingRule(
        id="SD505",
        name="not-json",
        level="error",
        sentence="What is called application/json is JSON.",
        cloud="The client's JSON deserializer fails: JSONDecodeError.",
        fix="Answer with json.dumps(…), or with the content type that the answer has.",
        failing=served("return str({'sum': 3}), accept"),
        passing=ANSWERS,
        sources=("aws/sagemaker-python-sdk#156", "aws/sagemaker-python-sdk#1136",
                 "aws/sagemaker-python-sdk#1971"),
        check=not_json,
        skips=good,
        options=("--run", "--request", "one.json", "--accept", "application/json"),
    ),
    HostingRule(
        id="SD506",
        name="no-content-type",
        level="advice",
        sentence="A client may leave the Content-Type out; boto3 does, unless it is told.",
        cloud="ModelError 500 for clients that do not name a Content-Type.",
        fix="Take None for your usual type.",
        failing=served(
            f'{CAREFUL}if content_type != "application/json":\n'
            '    raise ValueError("unknown type %s" % content_type)\n'
            "return json.dumps(sum(numbers)), accept"
        ),
        passing=ANSWERS,
        sources=("aws/sagemaker-python-sdk#413", "aws/amazon-sagemaker-examples#1800", TOOLKIT),
        check=no_content_type,
        skips=good,
    ),
    HostingRule(
        id="SD507",
        name="any-accept",
        level="warning",
        sentence="Accept */* is what many HTTP clients send, and means any type.",
        cloud="ModelError 500 for these clients; MXNet's image of 1.3 hands */* on as it is.",
        fix="Answer */* with your usual type.",
        failing=served(
            f'{CAREFUL}if accept != "application/json":\n'
            '    raise ValueError("cannot answer with %s" % accept)\n'
            "return json.dumps(sum(numbers)), accept"
        ),
        passing=ANSWERS,
        sources=("sagemaker-containers 2.2.5 _worker.py", "aws/sagemaker-python-sdk#2046",
                 "aws/sagemaker-xgboost-container#390"),
        check=any_accept,
        skips=good,
        options=("--run", "--request", "one.json", "--framework-version", "1.3.0"),
    ),
    HostingRule(
        id="SD508",
        name="broken-body",
        level="error",
        sentence="A broken request costs one answer, and not the server.",
        cloud="The worker dies, and its other requests with it: Worker died, ModelError 500.",
        fix="Raise an exception where the body cannot be read; end no process.",
        failing=served(
            "try:\n    numbers = json.loads(data)\nexcept ValueError:\n"
            "    import time\n    time.sleep(600)\n"
            "return json.dumps(sum(numbers)), accept"
        ),
        passing=served(SUM),
        sources=("aws/sagemaker-python-sdk#1119", "aws/amazon-sagemaker-examples#924"),
        check=broken_body,
        skips=good,
        options=("--run", "--request", "one.json", "--request-seconds", "2"),
    ),
    HostingRule(
        id="SD509",
        name="together",
        level="error",
        sentence="Requests at once get the answers that each gets alone.",
        cloud="Wrong predictions under load, and no error.",
        fix="Keep nothing of a request in globals, files or the model.",
        failing=served(
            'import tempfile\nimport time\nname = os.path.join(tempfile.gettempdir(), "request")\n'
            'with open(name, "w") as file:\n'
            "    file.write(data if isinstance(data, str) else data.decode())\n"
            "time.sleep(0.2)\nwith open(name) as file:\n    text = file.read()\n"
            "try:\n    numbers = json.loads(text)\nexcept ValueError:\n    numbers = []\n"
            "return json.dumps(sum(numbers)), accept"
        ),
        passing=ANSWERS,
        sources=("aws/sagemaker-python-sdk#1119", "aws/amazon-sagemaker-examples#4324"),
        check=together,
        skips=lambda seen, target: good(seen, target) or seen.not_together,
        options=("--run", "--request", "one.json", "--request", "two.json"),
        files={"one.json": "[1, 2]\n", "two.json": "[3, 4]\n"},
    ),
    HostingRule(
        id="SD511",
        name="payload",
        level="error",
        sentence="Requests and answers have 6 MiB at the most, of a serverless endpoint 4 MiB.",
        cloud="ValidationError, or HTTP 413: the payload is too large.",
        fix="Send pictures packed (JPEG) or arrays as .npy; answer with fewer digits or classes.",
        failing=served("return json.dumps([0.123456789] * 600000), accept"),
        passing=ANSWERS,
        sources=("botocore sagemaker-runtime, BodyBlob", "aws/amazon-sagemaker-examples#245",
                 "aws/sagemaker-python-sdk#799", "aws/sagemaker-python-sdk#4271",
                 "serverless-endpoints-invoke.html"),
        check=payload,
        skips=good,
    ),
)  # fmt: skip

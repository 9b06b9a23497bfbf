"""Rules on a model server that was really started and asked."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sagedock.check.observations import Answer, Hosting, is_json, last_error
from sagedock.check.rule import Hit, Hits, Rule, always
from sagedock.check.target import Target

PAYLOAD_BYTES = 6 * 1024 * 1024
"""botocore's BodyBlob of InvokeEndpoint. AWS's FAQ has named 25 MB since; the smaller one fails
nowhere."""

_NOT_SERIALIZABLE = re.compile(r"Object of type '?(\w+)'? is not JSON serializable|"
                               r"(\w+) is not JSON serializable")  # fmt: skip
_GROWTH_BYTES = 64 * 1024
_GROWTH_TOTAL = 20 * 1024 * 1024
_LARGE_JSON = 128 * 1024
_WORTH = 0.9


@dataclass(frozen=True)
class HostingRule(Rule[Hosting]):
    """Looks at what a server answered. `options` and `files` are those of its examples;
    `passing_options` where the second one is checked in another way."""

    skips: Callable[[Hosting, Target], str] = always
    options: tuple[str, ...] = ("--run", "--request", "one.json")
    passing_options: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=lambda: {"one.json": "[1, 2]\n"})

    kind = "hosting"
    language = "python"


def _healthy(seen: Hosting, target: Target) -> str:
    return "the model server never became healthy: see SD501" if seen.trouble else ""


def _good(seen: Hosting, target: Target) -> str:
    if reason := _healthy(seen, target):
        return reason
    if not any(answer.sample.file for answer in seen.answers):
        return "needs --request"
    return "" if any(seen.good) else "no request is answered: see SD502 and SD503"


def no_ping(seen: Hosting, target: Target) -> Hits:
    if seen.trouble:
        error = last_error(seen.lines)
        told = f"/ping is not answered: {error or seen.trouble}"
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
        told = f"{_shown(answer)} is answered with {answer.status}: {error}".removesuffix(": ")
        yield seen.script.hit(answer.told, told)


def _shown(answer: Answer) -> str:
    accept = f", Accept {answer.accept}" if answer.accept else ""
    return f"{Path(answer.sample.file).name} ({answer.sent_type or 'no Content-Type'}{accept})"


def _unserializable(answer: Answer) -> str:
    found = _NOT_SERIALIZABLE.search("\n".join(answer.told))
    return (found[1] or found[2]) if found else ""


def not_serializable(seen: Hosting, target: Target) -> Hits:
    for answer in seen.answers:
        if not answer.is_fine and (kind := _unserializable(answer)):
            told = f"{_shown(answer)}: the answer holds {kind}, and json.dumps does not take it"
            yield seen.script.hit(answer.told, told)
            return


def not_json(seen: Hosting, target: Target) -> Hits:
    for answer in seen.good:
        said = answer.content_type.split(";")[0].strip()
        if answer.sample.file and said == "application/json" and not is_json(answer.body):
            start = answer.body[:40].decode("utf-8", errors="replace")
            told = f"{_shown(answer)}: the answer is called {said}, and begins with {start!r}"
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
            told = f"{kind} {'ends the worker' if died else 'is never answered'}"
            yield seen.script.hit(answer.told, told)
            return
    if seen.broken and not seen.healthy_after_broken:
        told = "after a broken body a good request is not answered any more"
        yield seen.script.hit([line for a in seen.broken for line in a.told], told)


def together(seen: Hosting, target: Target) -> Hits:
    wrong = [(a, b) for a, b in seen.together if b.body != a.body]
    if wrong:
        _, among = wrong[0]
        why = f"status {among.status}" if not among.is_fine else "another answer"
        told = f"{len(wrong)} of {len(seen.together)} requests at once get {why}"
        yield seen.script.hit(among.told, f"{told} than alone" if among.is_fine else told)


def slow(seen: Hosting, target: Target) -> Hits:
    late = [answer for answer in seen.answers if answer.sample.file and answer.status == 0]
    if late:
        told = f"{_shown(late[0])} has no answer after {late[0].seconds:.0f} s"
        yield seen.script.hit(late[0].told, told)


def payload(seen: Hosting, target: Target) -> Hits:
    for answer in seen.answers:
        for what, body in (("request", answer.sample.body), ("answer", answer.body)):
            if answer.sample.file and len(body) > PAYLOAD_BYTES:
                told = f"{_shown(answer)}: the {what} has {len(body) / 2**20:.1f} MiB"
                yield seen.script.hit((), told)
                return


def growth(seen: Hosting, target: Target) -> Hits:
    if seen.growth is None:
        return
    before, after, count = seen.growth
    more = after - before
    if more > _GROWTH_TOTAL and more / count > _GROWTH_BYTES:
        told = (
            f"{count} requests took {more / 2**20:.0f} MiB more: {more // count // 1024} KiB each"
        )
        yield seen.script.hit((), told)


def never_hybridized(seen: Hosting, target: Target) -> Hits:
    found = seen.hybridized
    if found is None or not found.same_answers or found.hybrid > _WORTH * found.plain:
        return
    file, line = found.place
    told = (
        f"hybridized, a request takes {found.hybrid * 1000:.1f} ms instead of "
        f"{found.plain * 1000:.1f} ms (median, this machine), with the same answers"
    )
    text = Path(file).read_text(encoding="utf-8", errors="replace").splitlines()
    yield Hit(file, line, 1, told, source=text[line - 1] if line <= len(text) else "")


def json_numbers(seen: Hosting, target: Target) -> Hits:
    for answer in seen.good:
        body = answer.sample.body
        is_large = len(body) > _LARGE_JSON and answer.sent_type == "application/json"
        if answer.sample.file and is_large and (count := _count(body)):
            told = (
                f"{_shown(answer)} has {len(body) / 1024:.0f} KiB for {count} numbers; as .npy of "
                f"float32 it has {(4 * count + 128) / 1024:.0f} KiB"
            )
            yield seen.script.hit((), told)
            return


def _count(body: bytes) -> int:
    """How many numbers a JSON array holds; 0 where it holds anything else."""

    def counted(value: object) -> int:
        if isinstance(value, list):
            counts = [counted(item) for item in value]
            return 0 if 0 in counts else sum(counts)
        return int(isinstance(value, (int, float)) and not isinstance(value, bool))

    try:
        return counted(json.loads(body))
    except (ValueError, RecursionError):
        return 0


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


_SUM = "return json.dumps(sum(json.loads(data))), accept"
_CAREFUL = "try:\n    numbers = json.loads(data)\nexcept ValueError:\n    numbers = []\n"
_PASSING = served(f"{_CAREFUL}return json.dumps(sum(numbers)), accept")
_TOOLKIT = "sagemaker-inference-toolkit transformer.py"


def _gluon(more: str) -> str:
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
        failing=served(_SUM, 'return open(os.path.join(model_dir, "model.params")).read()'),
        passing=served(f"{_CAREFUL}return json.dumps(sum(numbers)), accept",
                       'return open(os.path.join(model_dir, "net")).read()'),
        sources=("aws/amazon-sagemaker-examples#407", "aws/sagemaker-python-sdk#2067", _TOOLKIT),
        check=model_fails,
        skips=_healthy,
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
        passing=_PASSING,
        sources=("aws/amazon-sagemaker-examples#833", "aws/sagemaker-python-sdk#362",
                 "aws/sagemaker-python-sdk#1487", _TOOLKIT),
        check=request_fails,
        skips=_healthy,
    ),
    HostingRule(
        id="SD504",
        name="not-serializable",
        level="error",
        sentence="An answer is made of what JSON knows: no NumPy, no NDArray.",
        cloud="ModelError 500: TypeError: Object of type … is not JSON serializable.",
        fix="Call `.tolist()` (of an NDArray `.asnumpy().tolist()`), `int(…)` or `float(…)` first.",
        failing=served("return json.dumps({1, 2}), accept"),
        passing=_PASSING,
        sources=("aws/sagemaker-python-sdk#551", "aws/sagemaker-python-sdk#670",
                 "aws/sagemaker-tensorflow-serving-container#118"),
        check=not_serializable,
        skips=_healthy,
    ),
    HostingRule(
        id="SD505",
        name="not-json",
        level="error",
        sentence="What is called application/json is JSON.",
        cloud="The client's JSON deserializer fails: JSONDecodeError.",
        fix="Answer with json.dumps(…), or with the content type that the answer has.",
        failing=served("return str({'sum': 3}), accept"),
        passing=_PASSING,
        sources=("aws/sagemaker-python-sdk#156", "aws/sagemaker-python-sdk#1136",
                 "aws/sagemaker-python-sdk#1971"),
        check=not_json,
        skips=_good,
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
            f'{_CAREFUL}if content_type != "application/json":\n'
            '    raise ValueError("unknown type %s" % content_type)\n'
            "return json.dumps(sum(numbers)), accept"
        ),
        passing=_PASSING,
        sources=("aws/sagemaker-python-sdk#413", "aws/amazon-sagemaker-examples#1800", _TOOLKIT),
        check=no_content_type,
        skips=_good,
    ),
    HostingRule(
        id="SD507",
        name="any-accept",
        level="warning",
        sentence="Accept */* is what many HTTP clients send, and means any type.",
        cloud="ModelError 500 for these clients; MXNet's image of 1.3 hands */* on as it is.",
        fix="Answer */* with your usual type.",
        failing=served(
            f'{_CAREFUL}if accept != "application/json":\n'
            '    raise ValueError("cannot answer with %s" % accept)\n'
            "return json.dumps(sum(numbers)), accept"
        ),
        passing=_PASSING,
        sources=("sagemaker-containers 2.2.5 _worker.py", "aws/sagemaker-python-sdk#2046",
                 "aws/sagemaker-xgboost-container#390"),
        check=any_accept,
        skips=_good,
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
        passing=served(_SUM),
        sources=("aws/sagemaker-python-sdk#1119", "aws/amazon-sagemaker-examples#924"),
        check=broken_body,
        skips=_good,
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
        passing=_PASSING,
        sources=("aws/sagemaker-python-sdk#1119", "aws/amazon-sagemaker-examples#4324"),
        check=together,
        skips=_good,
        options=("--run", "--request", "one.json", "--request", "two.json"),
        files={"one.json": "[1, 2]\n", "two.json": "[3, 4]\n"},
    ),
    HostingRule(
        id="SD510",
        name="slow",
        level="error",
        sentence="A request is answered within 60 s.",
        cloud="ModelError: the invocation timed out; the container goes on computing.",
        fix="Make the request smaller, the model faster, or use batch transform.",
        failing=served(f"import time\n\ntime.sleep(30)\n{_SUM}"),
        passing=_PASSING,
        sources=("API_runtime_InvokeEndpoint.html: 60 seconds", "aws/sagemaker-python-sdk#1119",
                 "aws/amazon-sagemaker-examples#556"),
        check=slow,
        skips=_healthy,
        options=("--run", "--request", "one.json", "--request-seconds", "2"),
    ),
    HostingRule(
        id="SD511",
        name="payload",
        level="error",
        sentence="Requests and answers have 6 MiB at the most.",
        cloud="ValidationError, or HTTP 413: the payload is too large.",
        fix="Send pictures packed (JPEG) or arrays as .npy; answer with fewer digits or classes.",
        failing=served("return json.dumps([0.123456789] * 600000), accept"),
        passing=_PASSING,
        sources=("botocore sagemaker-runtime, BodyBlob", "aws/amazon-sagemaker-examples#245",
                 "aws/sagemaker-python-sdk#799"),
        check=payload,
        skips=_good,
    ),
    HostingRule(
        id="SD512",
        name="memory-growth",
        level="warning",
        sentence="A server holds as much memory after many requests as after a few.",
        cloud="After hours or days the container runs out of memory: its workers are killed.",
        fix="Keep no request, answer or array beyond its request.",
        failing=served(
            "KEPT.append(bytearray(1 << 20))\n"
            f"{_CAREFUL}return json.dumps(sum(numbers)), accept"
        ).replace("\n\n\ndef model_fn", "\n\nKEPT = []\n\n\ndef model_fn"),
        passing=_PASSING,
        sources=("aws/sagemaker-python-sdk#2955", "aws/amazon-sagemaker-examples#1657"),
        check=growth,
        skips=_good,
    ),
    HostingRule(
        id="SD601",
        name="never-hybridized",
        level="advice",
        sentence="A Gluon net that is hybridized answers faster.",
        cloud="Nothing fails; instances answer fewer requests than they could.",
        fix="After the parameters are loaded: `net.hybridize(static_alloc=True, "
        "static_shape=True)`.",
        failing=_gluon(""),
        passing=_gluon("    net.hybridize(static_alloc=True, static_shape=True)\n"),
        sources=("MXNet 1.9.1, measured by this check on your machine, both ways",),
        check=never_hybridized,
        skips=lambda seen, target: _good(seen, target)
        or ("" if seen.hybridized else "no Gluon net without hybridize is served"),
        files={"one.json": "[[1, 2, 3, 4, 5, 6, 7, 8]]\n"},
    ),
    HostingRule(
        id="SD602",
        name="json-numbers",
        level="advice",
        sentence="Numbers as JSON text have several times the bytes of the same in .npy.",
        cloud="Nothing fails; each request takes longer to send and to read, and meets the limit "
        "of 6 MiB sooner.",
        fix="Send application/x-npy: `numpy.save` writes it, MXNet's default handlers read it.",
        failing=_PASSING,
        passing=_PASSING,
        sources=("aws/sagemaker-python-sdk#799", "aws/amazon-sagemaker-examples#324"),
        check=json_numbers,
        skips=_good,
        files={"one.json": json.dumps([0.123456789] * 20_000), "two.json": "[1, 2]\n"},
        passing_options=("--run", "--request", "two.json"),
    ),
)  # fmt: skip

"""The legacy contract: what `train` is given, what becomes of what it returns, how jobs end."""

from __future__ import annotations

import json
import os

import pytest

from .conftest import Job

ALL_NINE = """
import json, logging
def train(hyperparameters, input_data_config, channel_input_dirs, output_data_dir, model_dir,
          num_gpus, num_cpus, hosts, current_host):
    logging.info("got %s", json.dumps(locals()))
"""


def test_train_gets_the_nine_arguments(legacy: Job) -> None:
    legacy.hyperparameters(rate=0.25, word="abc", nothing=None)
    ended = legacy.run(entry_py=ALL_NINE)
    got = ended.said("got")
    assert (ended.code, ended.succeeded) == (0, True)
    assert got["hyperparameters"]["rate"] == 0.25
    assert got["hyperparameters"]["sagemaker_job_name"] == "job"
    assert got["channel_input_dirs"] == {"training": str(ended.base / "input/data/training")}
    assert got["output_data_dir"] == str(ended.base / "output/data") + "/"
    assert got["model_dir"] == str(ended.base / "model")
    assert (got["hosts"], got["current_host"], got["num_gpus"]) == (["algo-1"], "algo-1", 0)
    assert got["num_cpus"] == os.cpu_count()


@pytest.mark.parametrize(
    ("signature", "names"),
    [
        ("hosts, hyperparameters", ["hosts", "hyperparameters"]),
        ("hosts, other=1", ["hosts"]),
        ("*, hosts, num_cpus: int", ["hosts", "num_cpus"]),
        ("*hosts", []),
    ],
)
def test_train_gets_the_arguments_that_it_names(
    legacy: Job, signature: str, names: list[str]
) -> None:
    script = f"import json\ndef train({signature}):\n    given = locals()\n"
    script += "    print('got', json.dumps(sorted(k for k in given if given[k] not in (1, ()))))\n"
    assert legacy.run(entry_py=script).said("got") == names


def test_train_with_keyword_arguments_gets_all_nine(legacy: Job) -> None:
    ended = legacy.run(entry_py="def train(hosts, **rest):\n    print('got', len(rest))\n")
    assert ended.said("got") == 8


def test_a_parameter_of_another_name_without_default_fails_the_job(legacy: Job) -> None:
    ended = legacy.run(entry_py="def train(hosts, other):\n    pass\n")
    assert ended.code == 1
    assert "missing 1 required positional argument: 'other'" in ended.failure


def test_the_tuning_objective_stays_a_bare_name(legacy: Job) -> None:
    legacy.hyperparameters(raw={"_tuning_objective_metric": '"acc"', "lr": "1e-05"})
    script = (
        "import json\ndef train(hyperparameters):\n    print('got', json.dumps(hyperparameters))"
    )
    got = legacy.run(entry_py=script).said("got")
    assert (got["_tuning_objective_metric"], got["lr"]) == ("acc", 1e-05)


def test_a_hyperparameter_that_is_no_json_fails_before_user_code(legacy: Job) -> None:
    legacy.hyperparameters(raw={"word": "abc"})
    ended = legacy.run(entry_py="print('user code ran')\ndef train():\n    pass\n")
    assert ended.code == 1
    assert ended.failure.startswith("uncaught exception during training: hyperparameter 'word'")
    assert "user code ran" not in ended.log


def test_the_region_is_mandatory(legacy: Job) -> None:
    legacy.without("sagemaker_region")
    ended = legacy.run(entry_py="def train():\n    pass\n")
    assert ended.code == 1
    assert ended.failure.startswith("uncaught exception during training: 'sagemaker_region'")
    assert "the SageMaker SDK sets it" in ended.log


def test_a_missing_configuration_file_ends_with_its_errno(legacy: Job) -> None:
    (legacy.base / "input/config/resourceconfig.json").unlink()
    ended = legacy.run(entry_py="def train():\n    pass\n")
    assert (ended.code, ended.succeeded) == (2, False)
    assert "resourceconfig.json" in ended.failure


def test_several_hosts_have_output_folders_of_their_own(legacy: Job) -> None:
    legacy.configure("resourceconfig", {"current_host": "algo-2", "hosts": ["algo-1", "algo-2"]})
    legacy.env["SAGEDOCK_HOSTS"] = json.dumps({"algo-1": "127.0.0.2", "algo-2": "127.0.0.3"})
    ended = legacy.run(
        entry_py="def train(output_data_dir):\n    print('got \"%s\"' % output_data_dir)"
    )
    assert ended.said("got") == str(ended.base / "output/data/algo-2")
    assert not (ended.base / "output/data/algo-2").exists()


def test_a_channel_may_be_narrowed_to_a_folder_in_it(legacy: Job) -> None:
    (legacy.base / "input/data/training/part").mkdir()
    legacy.hyperparameters(sagemaker_s3_uri_training="part")
    script = (
        "def train(channel_input_dirs):\n    print('got \"%s\"' % channel_input_dirs['training'])"
    )
    assert legacy.run(entry_py=script).said("got").endswith("/training/part")


def test_save_is_called_with_what_train_returned(legacy: Job) -> None:
    script = "def train():\n    return {'a': 1}\ndef save(model, model_dir):\n"
    script += "    open(model_dir + '/m', 'w').write(str(model))\n"
    ended = legacy.run(entry_py=script)
    assert (ended.base / "model/m").read_text() == "{'a': 1}"


@pytest.mark.parametrize("value", ["None", "[]", "0", "''"])
def test_save_is_not_called_for_a_falsy_model(legacy: Job, value: str) -> None:
    script = (
        f"def train():\n    return {value}\ndef save(model, model_dir):\n    raise ValueError\n"
    )
    assert legacy.run(entry_py=script).succeeded


def test_the_default_save_writes_three_files_of_a_module(legacy: Job) -> None:
    ended = legacy.run(entry_py=MODULE_LIKE + "def train():\n    return Module()\n")
    names = sorted(os.listdir(ended.base / "model"))
    assert names == ["model-0000.params", "model-shapes.json", "model-symbol.json"]
    shapes = json.loads((ended.base / "model/model-shapes.json").read_text())
    assert shapes == [{"name": "data", "shape": [10, 3]}]


MODULE_LIKE = """
from collections import namedtuple
class Module:
    data_shapes = [namedtuple("DataDesc", "name shape")("data", (10, 3))]
    symbol = property(lambda self: self)
    def save(self, path):
        open(path, "w").write("{}")
    save_params = save
"""


def test_a_gluon_block_without_save_fails_and_says_why(legacy: Job) -> None:
    ended = legacy.run(entry_py="class Dense: pass\ndef train():\n    return Dense()\n")
    assert ended.code == 1
    assert "'Dense' object has no attribute 'symbol'" in ended.failure
    assert "the script has no save(model, model_dir)" in ended.failure


@pytest.mark.parametrize(
    ("raised", "code", "has_failure"),
    [
        ("ValueError('wrong')", 1, True),
        ("PermissionError(13, 'wrong')", 13, True),
        ("OSError('wrong')", 0, True),
        ("SystemExit(3)", 0, False),
        ("KeyboardInterrupt()", 0, False),
    ],
)
def test_exit_codes_are_those_of_the_cloud(
    legacy: Job, raised: str, code: int, has_failure: bool
) -> None:
    ended = legacy.run(entry_py=f"def train():\n    raise {raised}\n")
    assert (ended.code, bool(ended.failure), ended.succeeded) == (code, has_failure, False)
    assert ("is called Completed" in ended.log) is (code == 0)


def test_the_failure_file_has_message_and_the_users_own_traceback(legacy: Job) -> None:
    legacy.source(entry_py="def train():\n    raise ValueError('wrong')\n")
    (legacy.base / "output/failure").write_text("before\n")
    ended = legacy.run()
    lines = ended.failure.splitlines()
    assert lines[:3] == [
        "before",
        "uncaught exception during training: wrong",
        "Traceback (most recent call last):",
    ]
    assert lines[3].endswith('entry.py", line 2, in train')
    assert "ValueError: wrong" in ended.log


def test_an_entry_point_that_is_not_in_the_archive(legacy: Job) -> None:
    legacy.hyperparameters(sagemaker_program="not_here.py")
    ended = legacy.run(entry_py="def train():\n    pass\n")
    assert ended.code == 1
    assert "No module named 'not_here'" in ended.failure
    assert "It has: entry.py" in ended.log


def test_a_script_without_train_fails(legacy: Job) -> None:
    ended = legacy.run(entry_py="import sys\nif __name__ == '__main__':\n    print(sys.argv)\n")
    assert ended.code == 1
    assert "module 'entry' has no attribute 'train'" in ended.failure
    assert "looks like a script-mode script" in ended.log


def test_scripts_log_without_setting_up_logging(legacy: Job) -> None:
    ended = legacy.run(entry_py="import logging\ndef train():\n    logging.info('hello')\n")
    assert " INFO - root - hello\n" in ended.log
    assert " INFO - mxnet_container.train - MXNetTrainingEnvironment: {" in ended.log


def test_the_log_level_is_a_hyperparameter(legacy: Job) -> None:
    legacy.hyperparameters(sagemaker_container_log_level=40)
    ended = legacy.run(entry_py="import logging\ndef train():\n    logging.info('hello')\n")
    assert "hello" not in ended.log


def test_the_script_is_a_module_first_on_the_path(legacy: Job) -> None:
    entry = "import sys, json, calendar\ndef train():\n"
    entry += "    print('got', json.dumps([__name__, sys.path[0], calendar.__file__]))\n"
    ended = legacy.run(entry_py=entry, calendar_py="")
    code = str(ended.base / "code")
    assert ended.said("got") == ["entry", code, code + "/calendar.py"]


def test_worker_variables_are_there_before_the_script_is_imported(legacy: Job) -> None:
    script = "import os, json\nprint('got', json.dumps(dict(os.environ)))\ndef train():\n    pass\n"
    got = legacy.run(entry_py=script).said("got")
    assert {k: v for k, v in got.items() if k.startswith(("DMLC_", "PS_"))} == {
        "DMLC_NUM_WORKER": "1",
        "DMLC_NUM_SERVER": "1",
        "DMLC_ROLE": "worker",
        "DMLC_PS_ROOT_URI": "127.0.0.1",
        "DMLC_PS_ROOT_PORT": "8000",
        "DMLC_NODE_HOST": "127.0.0.1",
        "PS_VERBOSE": "0",
    }
    assert (got["JOB_NAME"], got["CURRENT_HOST"]) == ("job", "algo-1")
    assert got["SAGEMAKER_REGION"] == "us-east-1"


def test_exit_handlers_do_not_run_and_nothing_printed_is_lost(legacy: Job) -> None:
    script = (
        "import atexit\natexit.register(print, 'handler')\ndef train():\n    print('x', end='')\n"
    )
    del legacy.env
    legacy.env = {"PYTHONUNBUFFERED": ""}
    ended = legacy.run(entry_py=script)
    assert ended.log.endswith("x")


def test_requirements_are_not_installed(legacy: Job) -> None:
    ended = legacy.run(entry_py="def train():\n    pass\n", requirements_txt="no-such-thing==0\n")
    assert ended.succeeded
    assert "requirements.txt is not installed" in ended.log


def test_python_2_code_fails_with_its_own_error_and_an_explanation(legacy: Job) -> None:
    legacy.env["SAGEDOCK_PY2"] = "1"
    ended = legacy.run(entry_py="def train():\n    print 'hello'\n")
    assert ended.code == 1
    assert "SyntaxError: Missing parentheses" in ended.failure
    assert "This is Python 2 code" in ended.failure
    assert "A Python 2 image was asked for" in ended.log


def test_integer_division_is_explained(legacy: Job) -> None:
    ended = legacy.run(entry_py="def train():\n    return range((40 - 4) / 6)\n")
    assert "TypeError: 'float' object cannot be interpreted as an integer" in ended.failure
    assert "7 / 2 is 3.5" in ended.failure


def test_sigterm_ends_a_job_at_once(legacy: Job) -> None:
    legacy.source(entry_py="import time\ndef train():\n    print('ready')\n    time.sleep(60)\n")
    assert legacy.stop_when("ready\n").code == -15

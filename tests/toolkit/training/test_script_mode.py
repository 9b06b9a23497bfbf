"""Script mode: variables, arguments, kinds of entry points, failures."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable

import pytest

from .conftest import Job

TELLS = """
import json, os, sys
print("got", json.dumps({"argv": sys.argv, "env": dict(os.environ), "cwd": os.getcwd()}))
"""


def test_hyperparameters_become_arguments(script: Job) -> None:
    script.hyperparameters(
        {"word": "abc", "_tuning_objective_metric": "acc"},
        **{"epochs": 10, "lr": 1e-05, "yes": True, "none": None, "list": [1, "a"]},
        **{"map": {"b": 2, "a": 1}, "x": 3, "sagemaker_other": 1},
    )
    argv = script.run(entry_py=TELLS).said("got")["argv"]
    assert argv[0] == "entry.py"
    assert list(zip(argv[1::2], argv[2::2], strict=True)) == [
        ("--epochs", "10"),
        ("--list", "[1, 'a']"),
        ("--lr", "1e-05"),
        ("--map", "a=1,b=2"),
        ("--none", ""),
        ("--word", "abc"),
        ("-x", "3"),
        ("--yes", "True"),
    ]


def test_double_quotes_around_the_last_argument_are_lost_as_in_the_cloud(script: Job) -> None:
    script.hyperparameters(z='"quoted"')
    assert script.run(entry_py=TELLS).said("got")["argv"][-1] == "quoted"


def test_the_sm_variables(script: Job) -> None:
    script.hyperparameters({"bare": "abc"}, **{"learning-rate": 0.5, "none": None, "yes": True})
    got = script.run(entry_py=TELLS).said("got")
    base = str(script.base)
    wanted = {
        "SM_HOSTS": '["algo-1"]',
        "SM_CURRENT_HOST": "algo-1",
        "SM_NETWORK_INTERFACE_NAME": "eth0",
        "SM_HPS": '{"bare":"abc","learning-rate":0.5,"none":null,"yes":true}',
        "SM_HP_LEARNING-RATE": "0.5",
        "SM_HP_NONE": "",
        "SM_HP_YES": "true",
        "SM_USER_ENTRY_POINT": "entry.py",
        "SM_MODULE_NAME": "entry",
        "SM_MODULE_DIR": f"{base}/source.tar.gz",
        "SM_CHANNELS": '["training"]',
        "SM_CHANNEL_TRAINING": f"{base}/input/data/training",
        "SM_MODEL_DIR": f"{base}/model",
        "SM_OUTPUT_DATA_DIR": f"{base}/output/data",
        "SM_OUTPUT_DIR": f"{base}/output",
        "SM_OUTPUT_INTERMEDIATE_DIR": f"{base}/output/intermediate",
        "SM_INPUT_DIR": f"{base}/input",
        "SM_INPUT_CONFIG_DIR": f"{base}/input/config",
        "SM_NUM_GPUS": "0",
        "SM_NUM_CPUS": str(os.cpu_count()),
        "SM_LOG_LEVEL": "20",
        "SM_FRAMEWORK_PARAMS": "{}",
        "SM_INPUT_DATA_CONFIG": '{"training":{"TrainingInputMode":"File"}}',
        "SM_CURRENT_INSTANCE_GROUP": "homogeneousCluster",
        "SAGEMAKER_JOB_NAME": "job",
        "SAGEMAKER_REGION": "us-east-1",
        "CURRENT_HOST": "algo-1",
    }
    assert {name: got["env"].get(name) for name in wanted} == wanted
    assert json.loads(got["env"]["SM_TRAINING_ENV"])["is_master"] is True
    assert json.loads(got["env"]["SM_USER_ARGS"]) == got["argv"][1:]
    assert not [name for name in got["env"] if name.startswith("DMLC_")]
    assert "SM_TOPOLOGY" not in got["env"]


def test_instance_groups_and_topology(script: Job) -> None:
    group = {"instance_group_name": "g", "instance_type": "ml.m5.large", "hosts": ["algo-1"]}
    script.configure(
        "resourceconfig",
        {
            **{"current_host": "algo-1", "hosts": ["algo-1"], "current_group_name": "g"},
            **{"current_instance_type": "ml.m5.large", "instance_groups": [group], "topology": []},
        },
    )
    env = script.run(entry_py=TELLS).said("got")["env"]
    assert json.loads(env["SM_INSTANCE_GROUPS_DICT"]) == {"g": group}
    assert (env["SM_INSTANCE_GROUPS"], env["SM_CURRENT_INSTANCE_GROUP_HOSTS"]) == (
        '["g"]',
        '["algo-1"]',
    )
    assert (env["SM_TOPOLOGY"], env["SM_CURRENT_INSTANCE_TYPE"]) == ("[]", "ml.m5.large")


def test_a_python_program_runs_in_the_code_folder(script: Job) -> None:
    ended = script.run(entry_py="import beside\n" + TELLS, beside_py="")
    got = ended.said("got")
    assert (ended.code, ended.succeeded) == (0, True)
    assert got["cwd"] == str(script.base / "code")
    assert got["env"]["PYTHONPATH"].split(":")[0] == str(script.base / "code")


def test_a_shell_script(script: Job) -> None:
    script.hyperparameters(sagemaker_program="entry.sh", word="two words")
    ended = script.run(entry_sh='#!/bin/sh\necho "$0 $1 [$2] $SM_HP_WORD"\n')
    assert "./entry.sh --word [two words] two words\n" in ended.log


def test_early_script_mode_runs_a_module_where_it_is(new_job: Callable[..., Job]) -> None:
    got = new_job(version="1.3.0").run(entry_py=TELLS).said("got")
    assert got["argv"][0].endswith("/code/entry.py")
    assert got["cwd"] == os.getcwd()
    assert "SM_USER_ENTRY_POINT" not in got["env"]


def test_early_script_mode_tells_failures_in_its_own_layout(new_job: Callable[..., Job]) -> None:
    job = new_job(version="1.3.0")
    ended = job.run(entry_py="raise ValueError('wrong')\n")
    assert ended.code == 1
    command = f'Command "{job.python} -m entry"'
    assert ended.failure.startswith(f"ExecuteUserScriptError:\n{command}\nTraceback")
    assert ended.failure.endswith("ValueError: wrong")


def test_code_that_is_there_already_is_not_fetched(script: Job) -> None:
    (script.base / "code").mkdir()
    (script.base / "code/entry.py").write_text("print('mounted')\n")
    assert "mounted\n" in script.run(entry_py="print('archive')\n").log


def test_an_exception_is_told_with_its_traceback(script: Job) -> None:
    script.hyperparameters(x="many")
    ended = script.run(entry_py="print('before')\nraise ValueError('wrong')\n")
    assert ended.code == 1
    lines = ended.failure.splitlines()
    assert lines[:3] == [
        "ExecuteUserScriptError:",
        "ExitCode 1",
        'ErrorMessage "Traceback (most recent call last):',
    ]
    assert lines[-2:] == [
        'ValueError: wrong"',
        f'Command "{script.python} entry.py -x many"',
    ]
    assert ended.log.index("before") < ended.log.index("Traceback")


def test_an_argument_that_argparse_refuses(script: Job) -> None:
    script.hyperparameters(n="many")
    ended = script.run(
        entry_py="import argparse\np = argparse.ArgumentParser()\n"
        "p.add_argument('-n', type=int)\np.parse_args()\n"
    )
    assert ended.code == 1
    assert ended.failure.startswith("ExecuteUserScriptError:\nExitCode 2\n")
    assert "invalid int value: 'many'" in ended.failure


@pytest.mark.parametrize(
    ("how", "told"),
    [("sys.exit(7)", "ExitCode 7"), ("os.kill(os.getpid(), 9)", "ExitCode -9\n")],
)
def test_any_failure_is_exit_code_1_and_told(script: Job, how: str, told: str) -> None:
    ended = script.run(entry_py=f"import os, sys\n{how}\n")
    assert ended.code == 1
    assert told in ended.failure


def test_message_and_command_fit_into_the_failure_reason(script: Job) -> None:
    script.hyperparameters(note="n" * 700)
    ended = script.run(entry_py="raise ValueError('long ' + 'x' * 3000 + ' end')\n")
    reason = ended.failure[:1000]
    assert " end" in reason
    assert "entry.py --note" in reason


def test_a_failure_file_of_the_script_itself_stays(script: Job) -> None:
    entry = "import os, sys\nopen(os.environ['SM_OUTPUT_DIR'] + '/failure', 'w').write('mine')\n"
    assert script.run(entry_py=entry + "sys.exit(3)\n").failure == "mine"


def test_an_entry_point_that_is_not_in_the_archive(script: Job) -> None:
    script.hyperparameters(sagemaker_program="not_here.py")
    ended = script.run(entry_py="")
    assert ended.failure.startswith("ExecuteUserScriptError:\nExitCode 2\n")
    assert "not_here.py': [Errno 2] No such file or directory" in ended.failure


def test_no_entry_point_is_a_framework_error(script: Job) -> None:
    script.without("sagemaker_program")
    ended = script.run(entry_py="")
    assert ended.code == 1
    assert ended.failure.startswith("Framework Error: \nNo entry point")


def test_a_missing_key_of_the_configuration_is_a_framework_error(script: Job) -> None:
    script.configure("resourceconfig", {"current_host": "algo-1"})
    ended = script.run(entry_py="")
    assert ended.code == 1
    assert ended.failure.startswith("Framework Error: \nTraceback")
    assert "KeyError: 'hosts'" in ended.failure


def test_a_missing_file_is_a_framework_error_with_its_errno(script: Job) -> None:
    (script.base / "input/config/hyperparameters.json").unlink()
    assert script.run(entry_py="").code == 2


def test_mpi_is_refused_in_a_sentence(script: Job) -> None:
    script.hyperparameters(sagemaker_mpi_enabled=True)
    ended = script.run(entry_py="")
    assert ended.code == 1
    assert "asks for MPI" in ended.failure


def test_a_parameter_server_port_that_is_a_number_fails_as_in_the_cloud(script: Job) -> None:
    script.hyperparameters(sagemaker_parameter_server_enabled=True, _ps_port=9100)
    ended = script.run(entry_py="")
    assert ended.code == 1
    assert "TypeError: str expected, not int" in ended.failure


def test_a_legacy_script_does_nothing_and_the_log_says_so_twice(script: Job) -> None:
    ended = script.run(entry_py="def train(hyperparameters):\n    raise ValueError\n")
    assert (ended.code, ended.succeeded) == (0, True)
    assert ended.log.count("NOTHING IS TRAINED") == 2


@pytest.mark.parametrize(
    ("entry", "is_legacy"),
    [
        ("def train(hosts):\n    print('called')\n", True),
        (
            "def train(hosts):\n    print('called')\nif __name__ == '__main__':\n    train([])\n",
            True,
        ),
        (
            "import argparse\ndef train(hosts):\n    print('called')\n"
            "if __name__ == '__main__':\n    argparse.ArgumentParser().parse_args()\n",
            False,
        ),
        ("import os\nprint(os.environ['SM_HOSTS'])\n", False),
    ],
)
def test_without_a_version_the_script_decides(script: Job, entry: str, is_legacy: bool) -> None:
    script.env["SAGEDOCK_FRAMEWORK_VERSION"] = ""
    ended = script.run(entry_py=entry)
    assert ended.succeeded
    assert ("MXNetTrainingEnvironment" in ended.log) is is_legacy
    assert ("called" in ended.log) is is_legacy


def test_output_is_live_and_in_order(script: Job) -> None:
    entry = "import sys, time\nfor i in range(50):\n    print(i, end=',')\n"
    entry += "    sys.stderr.write(f'e{i},')\nprint('ready')\ntime.sleep(60)\n"
    script.source(entry_py=entry)
    ended = script.stop_when("ready\n")
    assert "".join(f"{i},e{i}," for i in range(50)) + "ready\n" in ended.log


def test_sigterm_reaches_the_script(script: Job) -> None:
    entry = "import signal, sys, time\n"
    entry += "signal.signal(signal.SIGTERM, lambda *_: (print('saving'), sys.exit(0)))\n"
    script.source(entry_py=entry + "print('ready')\ntime.sleep(60)\n")
    ended = script.stop_when("ready\n")
    assert (ended.code, ended.log.count("saving\n")) == (0, 1)


def test_sigterm_is_not_doubled_where_the_whole_group_is_signalled(script: Job) -> None:
    script.env["SAGEDOCK_GROUP_SIGNALS"] = "1"
    entry = "import signal, time\nsignal.signal(signal.SIGTERM, lambda *_: print('told'))\n"
    script.source(entry_py=entry + "print('ready')\ntime.sleep(1)\nprint('end')\n")
    ended = script.stop_when("ready\n")
    assert (ended.code, "told" in ended.log, "end\n" in ended.log) == (0, False, True)


def test_a_process_left_behind_does_not_hold_the_job(script: Job) -> None:
    entry = "import subprocess\nprint('got', subprocess.Popen(['sleep', '60']).pid)\n"
    ended = script.run(entry_py=entry)
    os.kill(ended.said("got"), signal.SIGKILL)  # it is there still
    assert ended.succeeded

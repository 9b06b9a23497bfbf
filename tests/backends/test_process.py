"""What is true of runs that are plain processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backends.stages import IMAGE, ProcessStage
from requests_as_sdks_send import PATIENCE
from sagedock.backends import processes
from sagedock.backends.base import Mount, Run
from sagedock.backends.framework_builds import Framework
from sagedock.backends.process import ProcessBackend
from sagedock.backends.process_runs import RunAddress
from sagedock.backends.run_variables import Allotted, run_variables
from sagedock.domain.images import resolve
from sagedock.errors import RunFailedToStart

DAEMON = """
if os.fork() == 0:
    os.setsid()
    if os.fork() != 0: os._exit(0)
    open(ml + '/daemon', 'w').write(str(os.getpid()))
    time.sleep(600)
while not os.path.exists(ml + '/daemon') or not open(ml + '/daemon').read(): time.sleep(0.002)
"""


def address_of(run: Run) -> RunAddress:
    address = RunAddress.parse(run.id)
    assert address is not None
    return address


def is_running(pid: int) -> bool:
    since = processes.started(pid)
    return since is not None and not processes.is_gone(pid, since)


def environment_of(stage: ProcessStage, **wishes: Any) -> dict[str, str]:
    play = stage.play().does("import json; print(json.dumps(dict(os.environ)))")
    run = stage.start(play, **wishes)
    told: dict[str, str] = json.loads("".join(line.text for line in run.lines()))
    return told


def test_nothing_of_the_emulators_environment_leaks(
    process_stage: ProcessStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "PYTHONPATH", "LD_PRELOAD_X", "SECRET"):
        monkeypatch.setenv(name, "of-the-users-shell")

    told = environment_of(process_stage, env={"AWS_REGION": "eu-west-1"})

    assert "of-the-users-shell" not in told.values()
    assert told["AWS_REGION"] == "eu-west-1"


def test_the_contract_becomes_variables(process_stage: ProcessStage) -> None:
    ml = process_stage.ml

    told = environment_of(process_stage, ports=(8080,))

    assert told["SAGEMAKER_BASE_DIR"] == str(ml)
    assert 1024 < int(told["SAGEMAKER_BIND_TO_PORT"]) < 65536
    assert told["SAGEDOCK_BIND_HOST"] == "127.0.0.1"
    assert told["SAGEDOCK_GPU"] == "auto"
    assert json.loads(told["SAGEDOCK_HOSTS"]) == {"algo-1": "127.0.0.1"}
    assert told["PATH"].split(":")[0].startswith(str(process_stage.frameworks))


@pytest.mark.parametrize(
    ("tag", "version", "py2"), [("1.2-gpu-py2", "1.2.1", "1"), ("1.9.0-cpu-py38", "1.9.0", None)]
)
def test_the_image_tells_version_and_python_2(
    process_stage: ProcessStage, tag: str, version: str, py2: str | None
) -> None:
    spec = process_stage.spec(process_stage.play())
    framework = Framework("mxnet", "3.11", process_stage.folder / "env")

    told = run_variables(spec, resolve(f"sagedock/mxnet:{tag}"), framework, Allotted("m", {}, None))

    assert told["SAGEDOCK_FRAMEWORK_VERSION"] == version
    assert told.get("SAGEDOCK_PY2") == py2


def test_hosts_of_a_job_share_a_port_and_jobs_do_not(process_stage: ProcessStage) -> None:
    wishes = {"hosts": ("algo-1", "algo-2")}

    one = environment_of(process_stage, labels={"job": "a"}, **wishes)
    holding = process_stage.start(process_stage.play().waits(), labels={"job": "b"}, **wishes)
    two = environment_of(process_stage, labels={"job": "a"}, **wishes)
    other = environment_of(process_stage, labels={"job": "b"}, **wishes)

    assert one["SAGEDOCK_PS_PORT"] == two["SAGEDOCK_PS_PORT"] != other["SAGEDOCK_PS_PORT"]
    assert json.loads(one["SAGEDOCK_HOSTS"]) == {"algo-1": "127.0.0.2", "algo-2": "127.0.0.3"}
    holding.close()


def test_package_indexes_stay_as_the_user_configured_them(
    process_stage: ProcessStage, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    settings = tmp_path / "config" / "pip" / "pip.conf"
    settings.parent.mkdir(parents=True)
    settings.touch()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PIP_INDEX_URL", "http://index.example/simple")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "example.org")

    told = environment_of(process_stage)

    assert told["PIP_CONFIG_FILE"] == os.environ.get("PIP_CONFIG_FILE", str(settings))
    assert told["PIP_INDEX_URL"] == "http://index.example/simple"
    assert told["HTTPS_PROXY"] == "http://proxy.example:3128"
    assert told["NO_PROXY"] == "example.org,127.0.0.1,localhost"


def test_a_scripts_own_pip_install_stays_in_its_run(process_stage: ProcessStage) -> None:
    package = process_stage.folder / "package"
    package.mkdir()
    (package / "installed_by_script.py").write_text("said = 'of this run'")
    wheel = make_wheel(package)
    install = (
        f"subprocess.run([sys.executable, '-m', 'pip', 'install', '-q', '--no-index', {wheel!r}])"
    )
    play = process_stage.play().does(f"import subprocess; {install}")
    play.does("import installed_by_script; print(installed_by_script.said)")

    run = process_stage.start(play)

    assert [line.text for line in run.lines()][-1] == "of this run"
    environment = next(process_stage.frameworks.glob("python-py3*"))
    assert not list(environment.rglob("installed_by_script*"))


def test_network_isolation_is_refused_plainly(process_stage: ProcessStage) -> None:
    with pytest.raises(RunFailedToStart, match=r"EnableNetworkIsolation .* process backend"):
        process_stage.start(process_stage.play(), isolated=True)


def test_a_program_that_is_not_there_is_named(process_stage: ProcessStage) -> None:
    with pytest.raises(RunFailedToStart, match="'no-such-program'"):
        process_stage.start(process_stage.play(), entrypoint=("no-such-program", "x"))


def test_a_path_that_a_process_cannot_have_is_named(process_stage: ProcessStage) -> None:
    spec = process_stage.spec(process_stage.play())
    elsewhere = Mount(process_stage.model, "/data")

    with pytest.raises(RunFailedToStart, match="cannot show /data"):
        process_stage.backend.start(replace(spec, mounts=(*spec.mounts, elsewhere)))


def test_entry_points_find_opt_ml_where_it_lies(process_stage: ProcessStage) -> None:
    ml = process_stage.ml
    (ml / "code").mkdir()
    (ml / "code" / "go.sh").write_text('echo "$0 $1"\n')
    words = ("/bin/sh", "-c", 'sh /opt/ml/code/go.sh "$0"; echo /opt/mlx')

    run = process_stage.start(None, entrypoint=words, arguments=("/opt/ml/model",))

    said = [line.text for line in run.lines()]
    assert said == [f"{ml}/code/go.sh {ml}/model", "/opt/mlx"]


def test_arguments_alone_go_to_the_images_own_entry_point(process_stage: ProcessStage) -> None:
    spec = process_stage.spec(process_stage.play(), entrypoint=(), arguments=("no-such-verb",))
    run = process_stage.backend.start(spec)

    assert any("no-such-verb" in line.text for line in run.lines())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_a_signal_is_128_and_its_number_and_leaves_no_remark(
    process_stage: ProcessStage, number: signal.Signals
) -> None:
    run = process_stage.start(process_stage.play().does(f"os.kill(os.getpid(), {int(number)})"))

    assert [line.text for line in run.lines()] == []
    assert run.wait(PATIENCE) == 128 + number


def test_stderr_and_stdout_keep_their_order(process_stage: ProcessStage) -> None:
    play = process_stage.play()
    for number in range(20):
        play.does(f"print({number}, file=sys.{'stderr' if number % 2 else 'stdout'}, flush=True)")

    run = process_stage.start(play)

    assert [line.text for line in run.lines()] == [str(number) for number in range(20)]


def test_daemons_of_a_run_end_with_it(process_stage: ProcessStage) -> None:
    ml = process_stage.ml
    run = process_stage.start(process_stage.play().does(DAEMON).exits(0))

    assert run.wait(PATIENCE) == 0

    assert not is_running(int((ml / "daemon").read_text()))


def test_stopping_reaches_daemons_too(process_stage: ProcessStage) -> None:
    ml = process_stage.ml
    run = process_stage.start(process_stage.play().does(DAEMON).prints("daemon").waits())
    next(run.lines())

    run.stop(grace_seconds=20)

    assert run.wait(0) == 143
    assert not is_running(int((ml / "daemon").read_text()))


def test_children_without_the_mark_end_with_the_run_too(process_stage: ProcessStage) -> None:
    ml = process_stage.ml
    child = "subprocess.Popen(['/bin/sleep', '600'], env={})"
    play = process_stage.play().does(f"import subprocess; child = {child}")
    play.does("open(ml + '/child', 'w').write(str(child.pid))").exits(0)

    assert process_stage.start(play).wait(PATIENCE) == 0

    assert not is_running(int((ml / "child").read_text()))


def test_nothing_remains_unreaped(process_stage: ProcessStage) -> None:
    run = process_stage.start(process_stage.play().exits(0))
    run.wait(PATIENCE)

    assert processes.started(address_of(run).pid) is None


def test_a_killed_shell_gives_its_own_code_and_takes_the_run_along(
    process_stage: ProcessStage,
) -> None:
    play = process_stage.play().does("print(os.getpid(), flush=True)").waits()
    run = process_stage.start(play)
    pid = int(next(run.lines()).text)

    os.kill(address_of(run).pid, signal.SIGKILL)

    assert run.wait(PATIENCE) == 137
    assert not is_running(pid)


def test_a_code_that_nobody_wrote_is_lost_after_a_restart(process_stage: ProcessStage) -> None:
    run = process_stage.start(process_stage.play().prints("here").waits())
    next(run.lines())
    os.kill(address_of(run).pid, signal.SIGKILL)
    run.wait(PATIENCE)

    found = process_stage.restarted().find(run.id)

    assert found is not None
    assert found.wait(PATIENCE) is None
    assert found.lost
    assert [line.text for line in found.lines()] == ["here"]


def test_a_reused_pid_is_never_taken_for_a_run(process_stage: ProcessStage) -> None:
    run = process_stage.start(process_stage.play().prints("here").waits())
    next(run.lines())
    address = address_of(run)
    stranger = replace(address, since=str(int(address.since) - 1), mark=address.mark[:-1] + "x")

    found = process_stage.restarted().find(str(stranger))

    assert found is not None
    assert found.wait(PATIENCE) is None
    assert found.lost
    found.stop(0)
    assert run.wait(0) is None


def test_a_run_of_before_the_machines_restart_is_over(process_stage: ProcessStage) -> None:
    run = process_stage.start(process_stage.play().prints("here").waits())
    next(run.lines())

    found = process_stage.restarted().find(str(replace(address_of(run), boot="another")))

    assert found is not None
    assert found.wait(PATIENCE) is None
    assert found.lost


def test_a_run_survives_the_death_of_the_emulator(process_stage: ProcessStage) -> None:
    play = process_stage.play().waits().prints("after").exits(3)
    spec = process_stage.spec(play)
    process_stage.backend.prepare(IMAGE, print)
    code = (
        "import sys, pathlib, time; from sagedock.backends.base import *;"
        "from sagedock.backends.process import ProcessBackend;"
        "home, frameworks, workdir, script = map(pathlib.Path, sys.argv[1:]);"
        "spec = RunSpec('n', 'sagedock/python', ('train',), workdir,"
        " (Mount(workdir / 'ml', '/opt/ml'),), entrypoint=('python', str(script)));"
        "print(ProcessBackend(home, frameworks).start(spec).id, flush=True); time.sleep(600)"
    )
    folders = (process_stage.folder, process_stage.frameworks, spec.workdir, spec.entrypoint[-1])
    emulator = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, folders)], stdout=subprocess.PIPE, text=True
    )
    assert emulator.stdout is not None
    run_id = emulator.stdout.readline().strip()
    emulator.kill()
    emulator.communicate()

    found = process_stage.restarted().find(run_id)

    assert found is not None
    assert found.wait(0.01) is None
    play.goes_on()
    assert [line.text for line in found.lines()] == ["after"]
    assert found.wait(PATIENCE) == 3


def test_cleaning_ends_orphans_of_this_home_alone(
    process_stage: ProcessStage, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("other-home")
    neighbour = ProcessBackend(elsewhere, process_stage.frameworks)
    theirs = neighbour.start(process_stage.spec(process_stage.play().waits()))
    orphan = process_stage.start(process_stage.play().waits())

    process_stage.restarted().clean(frozenset())

    assert orphan.wait(PATIENCE) == 137
    assert theirs.wait(0) is None
    neighbour.clean(frozenset())
    assert theirs.wait(PATIENCE) == 137


def test_a_run_of_another_home_is_not_found(process_stage: ProcessStage) -> None:
    run = process_stage.start(process_stage.play().exits(0))
    neighbour = ProcessBackend(process_stage.folder / "other", process_stage.frameworks)

    assert neighbour.find(run.id) is None


def test_standard_input_is_empty(process_stage: ProcessStage) -> None:
    run = process_stage.start(process_stage.play().does("print(repr(sys.stdin.read()))"))

    assert [line.text for line in run.lines()] == ["''"]


def test_what_cannot_be_an_environment_is_refused(process_stage: ProcessStage) -> None:
    with pytest.raises(RunFailedToStart, match="could not be started"):
        process_stage.start(process_stage.play(), env={"HUGE": "x" * 4_000_000})


def make_wheel(folder: Path) -> str:
    """The smallest wheel that pip takes, of the modules in `folder`."""
    wheel = folder / "installed_by_script-1-py3-none-any.whl"
    metadata = "installed_by_script-1.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        for module in folder.glob("*.py"):
            archive.write(module, module.name)
        about = "Metadata-Version: 2.1\nName: installed-by-script\nVersion: 1\n"
        archive.writestr(f"{metadata}/METADATA", about)
        archive.writestr(f"{metadata}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{metadata}/RECORD", "")
    return str(wheel)

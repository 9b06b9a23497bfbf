from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from sagedock.backends.gpu_pool import GpuPool
from sagedock.backends.gpus import Gpu
from sagedock.errors import RunFailedToStart


def cards(count: int) -> list[Gpu]:
    return [Gpu(index, f"GPU-{index}", "Tesla T4", (7, 5), None) for index in range(count)]


def indices(given: tuple[Gpu, ...]) -> list[int]:
    return [gpu.index for gpu in given]


def test_two_holders_never_share_a_gpu() -> None:
    pool = GpuPool(cards(3))
    assert indices(pool.take(2, "a")) == [0, 1]
    assert indices(pool.take(1, "b")) == [2]


def test_a_holder_gets_as_many_as_there_are_when_it_asks_for_more() -> None:
    assert indices(GpuPool(cards(2)).take(8, "a")) == [0, 1]
    assert GpuPool([]).take(8, "a") == ()
    assert GpuPool(cards(2)).take(0, "a") == ()


def test_who_comes_too_late_is_told_who_has_the_gpu_and_what_to_do() -> None:
    pool = GpuPool(cards(1))
    pool.take(1, "run-1", of="training job early")
    with pytest.raises(RunFailedToStart) as caught:
        pool.take(1, "run-2", of="training job late")
    assert str(caught.value) == (
        "The one GPU is used by training job early: wait until that ends, stop it, or set "
        "SAGEDOCK_GPU_SHARING=true."
    )


def test_too_few_free_ones_are_told_apart_from_none() -> None:
    pool = GpuPool(cards(3))
    pool.take(1, "run-1", of="training job a")
    pool.take(1, "run-2", of="endpoint b")
    with pytest.raises(RunFailedToStart) as caught:
        pool.take(2, "run-3", of="training job c")
    assert str(caught.value).startswith(
        "2 GPUs are needed and 1 of 3 is free; the others are used by training job a and endpoint "
        "b: wait"
    )
    assert indices(pool.take(1, "run-4")) == [2]


def test_what_is_given_back_can_be_taken_again() -> None:
    pool = GpuPool(cards(1))
    pool.take(1, "a")
    pool.give_back("a")
    pool.give_back("a")
    assert indices(pool.take(1, "b")) == [0]


def test_the_hosts_of_one_job_share_where_there_are_too_few() -> None:
    pool = GpuPool(cards(2))
    first = pool.take(1, "algo-1", of="training job x")
    second = pool.take(1, "algo-2", of="training job x")
    third = pool.take(1, "algo-3", of="training job x")
    assert (indices(first), indices(second), indices(third)) == ([0], [1], [0])
    pool.give_back("algo-1")
    with pytest.raises(RunFailedToStart, match="used by training job x"):
        pool.take(1, "other")


def test_a_shared_pool_gives_the_least_used_first() -> None:
    pool = GpuPool(cards(2), shared=True)
    taken = [indices(pool.take(1, name)) for name in ("a", "b", "c")]
    assert taken == [[0], [1], [0]]
    pool.give_back("b")
    assert indices(pool.take(1, "d")) == [1]


def test_what_a_run_held_before_a_restart_stays_its_own() -> None:
    pool = GpuPool(cards(2))
    pool.hold("a", ["GPU-0", "GPU-that-was-taken-out"])
    assert indices(pool.take(1, "b")) == [1]
    pool.give_back("a")
    assert indices(pool.take(1, "c")) == [0]


def test_only_gpus_that_the_image_can_use_are_given() -> None:
    pool = GpuPool(cards(3))
    assert indices(pool.take(2, "a", among=pool.gpus[2:])) == [2]
    with pytest.raises(RunFailedToStart, match="The one GPU is used by a"):
        pool.take(1, "b", among=pool.gpus[2:])


def test_many_threads_that_ask_at_once_get_one_each() -> None:
    pool = GpuPool(cards(16))
    with ThreadPoolExecutor(16) as threads:
        given = list(threads.map(lambda number: pool.take(1, str(number)), range(16)))
    assert sorted(gpu.index for (gpu,) in given) == list(range(16))

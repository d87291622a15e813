"""Several workers on this machine: the same training as one process, and a message for each fault."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segfeed.distributed.cluster import ClusterSpec, differences, rendezvous
from segfeed.distributed.replicas import Replicas, ShardedBatches
from segfeed.errors import WorkerError
from segfeed.pack import pack_pairs
from utils import SAMPLE, DataGenerator, read_split

ROOT = Path(__file__).resolve().parent.parent
LONG = 600  # seconds after which a worker is killed, so that no fault hangs the tests


def free_ports(count):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("localhost", 0))
        return [each.getsockname()[1] for each in sockets]


def config(ports, index):
    workers = [f"localhost:{port}" for port in ports]
    return json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}})


class Workers:
    """The same command started as several workers; their outputs in files."""

    def __init__(self, folder, command, world, changes=None):
        ports, self.logs = free_ports(world), [folder / f"{time.monotonic_ns()}-{rank}.txt" for rank in range(world)]
        self.processes = []
        for rank, log in enumerate(self.logs):
            environment = os.environ | {
                "PYTHONPATH": str(ROOT),
                "TF_CPP_MIN_LOG_LEVEL": "3",
                "SM_FRAMEWORK": "tf.keras",
            }
            environment |= {"TF_CONFIG": config(ports, rank)} if world > 1 else {}
            mine = [*command, *(changes or {}).get(rank, [])]
            with open(log, "w", encoding="utf-8") as file:
                self.processes.append(
                    subprocess.Popen(
                        [sys.executable, "-u", *map(str, mine)],
                        cwd=ROOT,
                        env=environment,
                        stdout=file,
                        stderr=subprocess.STDOUT,
                    )
                )

    def said(self, rank):
        return self.logs[rank].read_text(encoding="utf-8")

    def until(self, rank, words):
        end = time.monotonic() + LONG
        while words not in self.said(rank):
            assert time.monotonic() < end and self.processes[rank].poll() is None, self.said(rank)
            time.sleep(0.05)

    def end(self):
        """The exit codes."""
        try:
            return [process.wait(LONG) for process in self.processes]
        finally:
            for process in self.processes:
                process.kill()


# --- The same training -----------------------------------------------------------------------


def losses_of(folder, how, world=1, network="small"):
    workers = Workers(folder, ["tests/worker.py", how, network], world)
    assert workers.end() == [0] * world, workers.said(0) + workers.said(world - 1)
    logs = [json.loads(workers.said(rank).splitlines()[-1]) for rank in range(world)]
    assert all(log == logs[0] for log in logs)
    return [list(epoch.values()) for epoch in logs[0]], list(logs[0][0])


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return losses_of(tmp_path_factory.mktemp("alone"), "fit")


@pytest.mark.parametrize(("how", "world"), [("cpus", 1), ("loop", 2), ("loop", 3)])
def test_a_training_is_the_same_as_fit_in_one_process(tmp_path, alone, how, world):
    values, names = losses_of(tmp_path, how, world)
    assert names == alone[1] == ["iou", "loss", "val_iou", "val_loss"]
    # what is promised; the sums are rounded in another order, and Adam makes a step of every rounding
    np.testing.assert_allclose(values, alone[0], rtol=1e-5)


@pytest.mark.long
def test_a_training_of_the_u_net_is_the_same_as_fit_in_one_process(tmp_path):
    alone, values = (losses_of(tmp_path, how, world, "unet")[0] for how, world in (("fit", 1), ("loop", 2)))
    np.testing.assert_allclose(values, alone, rtol=1e-5)  # as above


@settings(deadline=None, max_examples=25)
@given(st.data())
def test_parts_hold_each_sample_once_in_equal_numbers_of_steps(data):
    world = data.draw(st.integers(1, 4))
    own = data.draw(st.integers(1, 2))
    batch_size = data.draw(st.integers(world * own, 9))
    stems = read_split()["train"][: data.draw(st.integers(1, 20))]
    steps, seen = set(), []

    def make(shard):
        options = {"batch_size": batch_size, "img_size": 4, "ignore": 7, "shard": shard, "seed": 3}
        return DataGenerator(stems, SAMPLE / "images", SAMPLE / "masks", **options)

    for rank in range(world):
        parts = ShardedBatches(make, Replicas(SimpleNamespace(num_replicas_in_sync=world * own), rank, world))
        steps.add(len(parts))
        for index in range(len(parts)):
            rows = parts[index]
            assert len(rows) == own and all(len(images) for images, *_ in rows)
            seen += [image for images, _, weights in rows for image in images[weights.any(axis=(1, 2))]]
    whole = [image for images, *_ in make((0, 1)) for image in images]
    assert len(steps) == 1
    assert sorted(image.tobytes() for image in seen) == sorted(image.tobytes() for image in whole)


# --- Who takes part --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("worker", "cannot be read"),
        ("{}", "'cluster'"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker"}}', "'index'"),
        ('{"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}', "looks like"),
        ('{"cluster": {"worker": ["a:0"]}, "task": {"type": "worker", "index": 0}}', "host:port"),
        ('{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "worker", "index": 0}}', "only workers"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "chief", "index": 0}}', "only workers"),
        (
            '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
            "index is 2, and there are 2",
        ),
        ('{"cluster": {"worker": ["a:1", "a:1"]}, "task": {"type": "worker", "index": 0}}', "twice"),
    ],
)
def test_a_wrong_tf_config_is_named(monkeypatch, text, words):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(WorkerError, match=re.escape(words)):
        ClusterSpec.read()


def test_without_tf_config_a_process_is_alone(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert rendezvous(ClusterSpec.read(), {"a": 1}) == [{"a": 1}]


@pytest.mark.parametrize("late", [0, 1])
def test_workers_meet_in_any_order_and_exchange_their_info(late):
    places = [f"localhost:{port}" for port in free_ports(3)]

    def come(rank):
        time.sleep(late * rank / 2)
        return rendezvous(ClusterSpec(places, rank), {"rank": rank}, 20)

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(come, range(3))) == [[{"rank": 0}, {"rank": 1}, {"rank": 2}]] * 3
    for place in places:  # free again
        socket.create_server(("", int(place.split(":")[1]))).close()


def test_a_taken_port_is_named():
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(WorkerError, match=f"port {port} of this worker cannot be opened .* another port"):
            rendezvous(ClusterSpec([f"localhost:{port}", "localhost:1"], 0), {})


def test_a_worker_that_never_comes_is_named():
    mine, missing = free_ports(2)
    with pytest.raises(
        WorkerError, match=rf"worker 1 \(localhost:{missing}: .*refused\) did not come within 1 s. Start it"
    ):
        rendezvous(ClusterSpec([f"localhost:{mine}", f"localhost:{missing}"], 0), {}, 1)


def test_an_unknown_host_is_named():
    (mine,) = free_ports(1)
    with pytest.raises(WorkerError, match=r"worker 1 \(no\.such\.host\.invalid:2222: .*\) did not come"):
        rendezvous(ClusterSpec([f"localhost:{mine}", "no.such.host.invalid:2222"], 0), {}, 1)


def test_another_program_at_the_address_is_named():
    mine, other = free_ports(2)
    with socket.create_server(("localhost", other)) as server:

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"SSH-2.0-OpenSSH\r\n")
                connection.recv(1000)

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(WorkerError, match=f"what answers at localhost:{other} is no worker"):
            rendezvous(ClusterSpec([f"localhost:{mine}", f"localhost:{other}"], 0), {}, 20)


STRANGERS = [
    b"",
    b"\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"[1e999, {}]\n",
    b"[0]\n",
    b"[" * 100_000 + b"\n",
    b"null\n",
    b"\xff\xfe\n",
]


@pytest.mark.parametrize("words", STRANGERS, ids=lambda words: repr(words[:9]))
def test_a_stranger_who_knocks_is_passed_over(words):
    """A scan of the ports, say; the workers still meet."""
    mine, other = free_ports(2)
    addresses = [f"localhost:{mine}", f"localhost:{other}"]
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(rendezvous, ClusterSpec(addresses, 0), {"rank": 0}, LONG)
        for _ in range(1000):  # until it listens
            with contextlib.suppress(OSError), socket.create_connection(("localhost", mine)) as visit:
                visit.sendall(words)
                break
            time.sleep(0.01)
        second = pool.submit(rendezvous, ClusterSpec(addresses, 1), {"rank": 1}, LONG)
        assert first.result() == second.result() == [{"rank": 0}, {"rank": 1}]


def test_two_orders_of_the_same_workers_are_named():
    first, second = (f"localhost:{port}" for port in free_ports(2))
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(rendezvous, ClusterSpec([first, second, "localhost:1"], 0), {}, 5)]
        calls += [pool.submit(rendezvous, ClusterSpec([first, "localhost:1", second], 2), {}, 5)]
        with pytest.raises(WorkerError, match=f"at {second} worker 2 answers and not 1: TF_CONFIG differs"):
            calls[0].result()
        with pytest.raises(WorkerError, match="did not come"):
            calls[1].result()


def test_differences_name_setting_and_both_values():
    infos = [{"--batch": 2, "keras": "3"}, {"--batch": 2, "keras": "3"}, {"--batch": 4}]
    assert differences(infos) == [
        "--batch is 2 for worker 0 and 4 for worker 2",
        "keras is 3 for worker 0 and None for worker 2",
    ]


# --- segfeed train --------------------------------------------------------------------------------

TRAIN = [
    *("-m", "segfeed", "train", "--images", SAMPLE / "images", "--masks", SAMPLE / "masks", "--size", 32),
    *(
        "--backbone",
        "resnet18",
        "--encoder-weights",
        "none",
        "--validation",
        16,
        "--batch",
        8,
        "--epochs",
        2,
        "--learning-rate",
        "1e-3",
    ),
]


def last_weights(output):
    return keras.models.load_model(output / "checkpoints" / "epoch-0002.keras", compile=False).get_weights()


@pytest.mark.long  # notebook 07 does it, without the shards
def test_after_a_killed_worker_all_start_again_and_end_with_the_same_weights(tmp_path):
    packed = tmp_path / "packed"  # one worker reads shards, which are the same data
    pack_pairs(SAMPLE / "images", SAMPLE / "masks", packed)
    shards = {1: ["--images", packed / "images", "--masks", packed / "masks"]}
    whole = Workers(tmp_path, [*TRAIN, "--output", tmp_path / "whole"], 2, shards)
    broken = Workers(tmp_path, [*TRAIN, "--output", tmp_path / "broken"], 2)
    broken.until(1, "Epoch 2/2")
    broken.processes[1].send_signal(signal.SIGKILL)
    assert broken.end() == [2, -signal.SIGKILL]
    assert "Stopped: another worker is gone. Epoch 1 is saved; start all workers again" in broken.said(0)
    again = Workers(tmp_path, [*TRAIN, "--output", tmp_path / "broken"], 2)
    assert again.end() == [0, 0], again.said(0) + again.said(1)
    assert "Going on after epoch 1." in again.said(0) and "Going on after epoch 1." in again.said(1)
    assert whole.end() == [0, 0], whole.said(0) + whole.said(1)
    for one, other in zip(last_weights(tmp_path / "whole"), last_weights(tmp_path / "broken"), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (tmp_path / "broken" / "run.json").is_file()


def test_workers_with_other_settings_or_data_are_refused(tmp_path):
    masks = tmp_path / "masks"
    masks.mkdir()
    for path in (SAMPLE / "masks").iterdir():
        (masks / path.name).write_bytes(path.read_bytes())
    (masks / path.name).write_bytes((SAMPLE / "masks" / "0001.png").read_bytes())
    changes = {1: ["--batch", 4, "--masks", masks]}
    workers = Workers(tmp_path, [*TRAIN, "--output", tmp_path / "run"], 2, changes)
    assert workers.end() == [2, 2]
    for rank in range(2):
        assert "--batch is 8 for worker 0 and 4 for worker 1; the data is 96 pairs, SHA-256 " in workers.said(rank)
    assert not (tmp_path / "run").exists()


def test_what_stops_worker_0_is_said_by_all(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").touch()
    workers = Workers(tmp_path, [*TRAIN, "--output", tmp_path / "run"], 2)
    assert workers.end() == [2, 2]
    assert "Stopped: " in workers.said(0) and "hold files that are no run" in workers.said(0).replace("holds", "hold")
    assert "Stopped: worker 0 stopped: " in workers.said(1) and "no run of this program" in workers.said(1)

"""Several workers on this machine: the same training as one process, and a message for each fault."""

import contextlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from segfeed.distributed.channel import HELLO, Channel, WrongKeyError
from segfeed.distributed.cluster import ClusterSpec, Workers, differences, rendezvous
from segfeed.distributed.rendezvous import VISITORS
from segfeed.distributed.replicas import Replicas, ShardedBatches
from segfeed.errors import DataError, WorkerError
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


class Processes:
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
    workers = Processes(folder, ["tests/worker.py", how, network], world)
    assert workers.end() == [0] * world, workers.said(0) + workers.said(world - 1)
    logs = [json.loads(workers.said(rank).splitlines()[-1]) for rank in range(world)]
    assert all(log == logs[0] for log in logs)
    return [list(epoch.values()) for epoch in logs[0]], list(logs[0][0])


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return losses_of(tmp_path_factory.mktemp("alone"), "fit")


@pytest.mark.parametrize(("how", "world"), [("cpus", 1), ("loop", 2), pytest.param("loop", 3, marks=pytest.mark.long)])
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
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": Infinity}}', "cannot be read"),
        ('{"cluster": {"worker": ["a:1"]}, "task": ["index"]}', "cannot be read"),
        ("[" * 100_000, "cannot be read"),
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


@pytest.mark.parametrize("address", ["a", "a:0", "a:-1", "a:65536", "a:b", ":1", "a b:1", "::1:2222", "[::1]", 7, None])
def test_a_wrong_address_is_named(monkeypatch, address):
    spec = {"cluster": {"worker": ["b:1", address]}, "task": {"type": "worker", "index": 0}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(spec))
    with pytest.raises(WorkerError, match=re.escape(f"'{address}' is no address. It looks like host:port or [IPv6]:")):
        ClusterSpec.read()


@pytest.mark.parametrize("address", ["first:2222", "10.0.0.7:65535", "[::1]:1", "[fe80::1%eth0]:2222"])
def test_names_and_both_kinds_of_ip_are_addresses(monkeypatch, address):
    spec = {"cluster": {"worker": ["b:1", address]}, "task": {"type": "worker", "index": 1}}
    monkeypatch.setenv("TF_CONFIG", json.dumps(spec))
    assert ClusterSpec.read() == (["b:1", address], 1)


def test_without_tf_config_a_process_is_alone(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert rendezvous(ClusterSpec.read(), {"a": 1}) == [{"a": 1}]


@contextlib.contextmanager
def together(*calls):
    """The futures of these calls, each in a thread; all have an end, and it is awaited."""
    with ThreadPoolExecutor(len(calls)) as pool:
        yield [pool.submit(call) for call in calls]


def meet(addresses, seconds=LONG):
    """The future of each worker's rendezvous; its info is its rank."""
    ranks = range(len(addresses))
    return together(*(partial(rendezvous, ClusterSpec(addresses, rank), {"rank": rank}, seconds) for rank in ranks))


def knock(port, host="localhost"):
    """A connection to a worker, as soon as it listens."""
    end = time.monotonic() + LONG
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            return socket.create_connection((host, port), timeout=LONG)
        time.sleep(0.01)
    raise AssertionError("nobody listens")


def told(connection):
    """All that a worker says before it hangs up."""
    data = b""
    with contextlib.suppress(OSError):
        while part := connection.recv(1000):
            data += part
    return data


def has(host):
    """Whether this machine has the address."""
    with contextlib.suppress(OSError), socket.create_server((host, 0), family=socket.getaddrinfo(host, 0)[0][0]):
        return True
    return False


HOSTS = ["localhost", "127.0.0.1", *(["[::1]"] if has("::1") else [])]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize("late", [0, 1])
def test_workers_meet_in_any_order_and_exchange_their_info(late, host):
    ports = free_ports(3)

    def come(rank):
        time.sleep(late * rank / 2)
        return rendezvous(ClusterSpec([f"{host}:{port}" for port in ports], rank), {"rank": rank}, LONG)

    with together(*(partial(come, rank) for rank in range(3))) as calls:
        assert [call.result() for call in calls] == [[{"rank": 0}, {"rank": 1}, {"rank": 2}]] * 3
    for port in ports:  # free again
        socket.create_server(("", port)).close()


@pytest.mark.parametrize("listening", [["127.0.0.1"], ["127.0.0.1", "::1"][: len(HOSTS) - 1]])
def test_a_name_of_several_addresses_is_served_at_all_that_this_machine_has(monkeypatch, listening):
    look_up = socket.getaddrinfo

    def of_both(host, *arguments, **options):
        hosts = [*listening, "203.0.113.9"] if host.endswith(".test") else [host]
        return [found for each in hosts for found in look_up(each, *arguments, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", of_both)
    first, second = free_ports(2)
    with meet([f"first.test:{first}", f"second.test:{second}"]) as calls:
        assert calls[0].result() == calls[1].result() == [{"rank": 0}, {"rank": 1}]


def test_a_worker_listens_at_its_own_address_alone():
    ports = free_ports(2)
    addresses = [f"127.0.0.1:{port}" for port in ports]
    with together(partial(rendezvous, ClusterSpec(addresses, 0), {}, LONG)) as calls:
        knock(ports[0], "127.0.0.1").close()
        for other in ("127.0.0.2", "::1"):  # both are this machine, where it has them
            with contextlib.suppress(OSError), socket.create_connection((other, ports[0]), timeout=1):
                raise AssertionError(f"it listens at {other}")
        rendezvous(ClusterSpec(addresses, 1), {}, LONG)
        calls[0].result()


@pytest.mark.parametrize("host", ["203.0.113.9", "0.0.0.0", "[::]", "[2001:db8::9]"])
def test_an_address_of_another_machine_is_named(host):
    (mine,) = free_ports(1)
    with pytest.raises(
        WorkerError, match=rf"{re.escape(host)}:{mine} is the address of this worker .* this machine has no such one"
    ):
        rendezvous(ClusterSpec([f"{host}:{mine}", "localhost:1"], 0), {}, LONG)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a..b", "a" * 64])
def test_an_own_host_without_an_address_is_named(host):
    with pytest.raises(WorkerError, match=rf"{host}:1 is the address of this worker .* its host is not found \(.*\)"):
        rendezvous(ClusterSpec([f"{host}:1", "localhost:1"], 0), {}, LONG)


def test_a_taken_port_is_named():
    with socket.create_server(("localhost", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(WorkerError, match=f"port {port} of this worker cannot be opened .* another port"):
            rendezvous(ClusterSpec([f"localhost:{port}", "localhost:1"], 0), {})


def test_a_worker_that_never_comes_is_named():
    mine, missing = free_ports(2)
    with pytest.raises(
        WorkerError, match=rf"worker 1 \(localhost:{missing}: .*refused\) did not come within 1 s. Start it"
    ) as caught:
        rendezvous(ClusterSpec([f"localhost:{mine}", f"localhost:{missing}"], 0), {}, 1)
    assert "no other machine can reach" not in str(caught.value)


@pytest.mark.parametrize(("again", "told", "early"), [  # told the others that it stops; back before that was noticed
    (0, True, False), (1, False, False), (0, False, True), (1, True, True),
])  # fmt: skip
def test_a_worker_that_is_started_again_while_another_is_awaited_meets_all(again, told, early):
    addresses = [f"localhost:{port}" for port in free_ports(3)]

    def enter(workers):
        with workers:
            return [info["start"] for info in workers.infos]

    def start(rank, number=1):
        return Workers(ClusterSpec(addresses, rank), {"start": number}, LONG)

    def until(condition):
        end = time.monotonic() + LONG
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.01)

    patient, first, second = start(1 - again), start(again), start(again, 2)
    meeting, may_miss = patient._rendezvous, threading.Event()
    forget = meeting._forget_the_stopped
    meeting._forget_the_stopped = lambda: None if early and not may_miss.is_set() else forget()
    with ThreadPoolExecutor(4) as pool:
        waits, stops = (
            pool.submit(enter, patient),
            pool.submit(enter if told else lambda one: one._rendezvous.meet(), first),
        )
        until(lambda: again in meeting._came and again in meeting._visited)
        came = meeting._came[again]
        with first._rendezvous._changed:
            first._rendezvous._error = WorkerError("out of battery")
            first._rendezvous._changed.notify_all()
        assert "out of battery" in str(stops.exception())
        first._rendezvous.close()
        calls = [waits, pool.submit(enter, second)]
        if early:
            until(lambda: meeting._came[again] is not came)
            came = meeting._came[again]
            may_miss.set()
            until(lambda: 1 - again in second._rendezvous._came)
            assert meeting._came[again] is came, "it is no worker that stopped"
        calls.append(pool.submit(enter, start(2)))
        infos = [1, 1, 1]
        infos[again] = 2
        assert [call.result() for call in calls] == [infos] * 3


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a..b"])
def test_an_unknown_host_is_named(host):
    (mine,) = free_ports(1)
    with pytest.raises(WorkerError, match=rf"worker 1 \({host}:2222: .*\) did not come"):
        rendezvous(ClusterSpec([f"localhost:{mine}", f"{host}:2222"], 0), {}, 1)


def test_an_own_address_that_other_machines_cannot_reach_is_named():
    """As where /etc/hosts gives the machine's own name the address 127.0.1.1."""
    (mine,) = free_ports(1)
    with pytest.raises(WorkerError, match=r"listens at 127\.0\.0\.1, which no other machine can reach: .* address in"):
        rendezvous(ClusterSpec([f"127.0.0.1:{mine}", "no.such.host.invalid:2222"], 0), {}, 1)


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
            rendezvous(ClusterSpec([f"localhost:{mine}", f"localhost:{other}"], 0), {}, LONG)


# --- Who is let in ---------------------------------------------------------------------------


def test_two_orders_of_the_same_workers_are_named_to_both():
    first, second = (f"localhost:{port}" for port in free_ports(2))
    specs = [ClusterSpec([first, second], 0), ClusterSpec([second, first], 0)]
    with together(*(partial(rendezvous, spec, {}, LONG) for spec in specs)) as calls:
        for call, other in zip(calls, (second, first), strict=True):
            with pytest.raises(WorkerError, match=f"worker at {other} has another TF_CONFIG or SEGFEED_SECRET: give"):
                call.result()


@pytest.mark.parametrize("secrets", [("of all", "of all"), ("one", "another"), ("", "another")])
def test_workers_with_another_secret_do_not_meet(monkeypatch, secrets):
    addresses = [f"localhost:{port}" for port in free_ports(2)]
    workers = []
    for rank, secret in enumerate(secrets):
        monkeypatch.setenv("SEGFEED_SECRET", secret)
        workers.append(Workers(ClusterSpec(addresses, rank), {"rank": rank}, LONG))

    def enter(worker):
        with worker:
            return worker.infos

    with together(*(partial(enter, worker) for worker in workers)) as calls:
        for call in calls:
            if len(set(secrets)) == 1:
                assert call.result() == [{"rank": 0}, {"rank": 1}]
            else:
                with pytest.raises(WorkerError, match="another TF_CONFIG or SEGFEED_SECRET"):
                    call.result()


def test_a_visitor_with_another_configuration_is_named_to_the_visited():
    """The visited worker does not know the visitor's address, so it cannot visit it and be refused itself."""
    first, missing, stranger = free_ports(3)
    addresses = [f"localhost:{first}", f"localhost:{missing}"]
    with together(
        partial(rendezvous, ClusterSpec(addresses, 0), {}, 3),
        partial(rendezvous, ClusterSpec([addresses[0], f"localhost:{stranger}"], 1), {}, LONG),
    ) as calls:
        with pytest.raises(WorkerError, match=r"did not come .* A visitor from (127.0.0.1|::1) was refused: it has"):
            calls[0].result()
        with pytest.raises(WorkerError, match=f"worker at localhost:{first} has another TF_CONFIG"):
            calls[1].result()


def channels(keys=(b"key", b"key")):
    """A host's and a visitor's end of a connection, and what the visitor's end has sent."""
    ends, sent = socket.socketpair(), bytearray()

    class Recorded:
        def __getattr__(self, name):
            return getattr(ends[1], name)

        def sendall(self, data):
            sent.extend(data)
            ends[1].sendall(data)

    until = time.monotonic() + LONG
    connections = zip((ends[0], Recorded()), keys, (False, True), strict=True)
    with together(*(partial(Channel, *each, until) for each in connections)) as calls:
        return *(call.result() for call in calls), sent


@settings(max_examples=15)
@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)))
def test_a_channel_hands_on_what_json_can_hold(value):
    host, visitor, _ = channels()
    visitor.send(value)
    host.send([value])
    assert host.receive() == value and visitor.receive() == [value]


@settings(max_examples=15)
@given(st.data())
def test_a_channel_notices_whatever_is_changed_or_sent_again(data):
    host, visitor, sent = channels()
    begun = len(sent)
    visitor.send({"rank": 1})
    assert host.receive() == {"rank": 1}
    message, place = bytearray(sent[begun:]), data.draw(st.integers(4, len(sent) - begun - 1))
    message[place] ^= data.draw(st.integers(0, 255))  # with 0 it is the same message, a second time
    visitor.connection.sendall(message)
    with pytest.raises(WrongKeyError):
        host.receive()


def test_a_channel_takes_no_message_of_another_connection_or_key_and_none_of_its_own():
    host, visitor, sent = channels()
    begun = len(sent)
    visitor.send(1)
    message = sent[begun:]
    others = [channels()[:2], channels((b"key", b"other"))[:2]]
    others[1][1].send(1)
    others[0][1].connection.sendall(message)
    for other, _ in others:
        with pytest.raises(WrongKeyError):
            other.receive()
    host.connection.sendall(message)  # the visitor's own
    with pytest.raises(WrongKeyError):
        visitor.receive()


# --- Visitors --------------------------------------------------------------------------------

NONCE = HELLO + bytes(32)
STRANGERS = [
    b"",
    b"\n",
    b"GET / HTTP/1.1\r\n\r\n",
    b"[1, {}]\n",
    b"[1e999, {}]\n",
    b"[" * 100_000 + b"\n",
    b"null\n",
    b"\xff\xfe\n",
    NONCE,
    NONCE + b"\xff" * 1000,
    NONCE + (1).to_bytes(4) + b"1" + bytes(32),
    NONCE + (2**31).to_bytes(4) + b"[" * 100_000,
]


def test_a_stranger_is_told_nothing():
    ports = free_ports(2)
    addresses = [f"localhost:{port}" for port in ports]
    info = {"the data": "96 pairs"}
    with together(partial(rendezvous, ClusterSpec(addresses, 0), info, LONG)) as calls:
        for words in STRANGERS:
            with knock(ports[0]) as stranger:
                with contextlib.suppress(OSError):
                    stranger.sendall(words)
                    stranger.shutdown(socket.SHUT_WR)
                said = told(stranger)
            if words.startswith(HELLO):  # a nonce, and a refusal without a word
                assert said[: len(HELLO)] == HELLO and said[8 + 32 :] in (b"", bytes(4 + 32))
            else:
                assert said == b""
        assert rendezvous(ClusterSpec(addresses, 1), info, LONG) == [info, info]
        calls[0].result()


VISITS = st.lists(st.sampled_from(STRANGERS) | st.binary(max_size=200) | st.binary(max_size=50).map(NONCE.__add__))


@settings(max_examples=25)
@given(st.lists(st.tuples(VISITS, st.sampled_from(["close", "reset", "stay", "drip"])), max_size=8))
def test_no_visitor_keeps_the_workers_from_meeting(visits):
    """A scan of the ports, say, or a visitor that says nothing, or a byte at a time."""
    ports = free_ports(2)
    done = threading.Event()

    def drip(connection):
        while not done.wait(0.1):
            try:
                connection.sendall(b"s")
            except OSError:
                return

    with contextlib.ExitStack() as stack:
        first = stack.enter_context(ThreadPoolExecutor(2))
        stack.callback(done.set)
        addresses = [f"localhost:{port}" for port in ports]
        calls = [first.submit(rendezvous, ClusterSpec(addresses, 0), {"rank": 0}, LONG)]
        for words, how in visits:
            connection = stack.enter_context(knock(ports[0]))
            with contextlib.suppress(OSError):
                for word in words:
                    connection.sendall(word)
            if how == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            if how in ("close", "reset"):
                connection.close()
            if how == "drip":
                threading.Thread(target=drip, args=[connection], daemon=True).start()
        calls.append(first.submit(rendezvous, ClusterSpec(addresses, 1), {"rank": 1}, LONG))
        assert calls[0].result() == calls[1].result() == [{"rank": 0}, {"rank": 1}]


def test_a_crowd_of_visitors_does_not_keep_the_workers_from_meeting():
    ports = free_ports(2)
    addresses, met = [f"localhost:{port}" for port in ports], threading.Event()

    def crowd():
        knock(ports[0]).close()
        silent = deque(maxlen=3 * VISITORS)
        for _ in range(5000):
            if met.is_set():
                break
            with contextlib.suppress(OSError):
                silent.append(socket.create_connection(("localhost", ports[0]), timeout=1))
        for connection in silent:
            connection.close()

    with together(partial(rendezvous, ClusterSpec(addresses, 0), {"rank": 0}, LONG), crowd) as calls:
        time.sleep(0.5)
        assert rendezvous(ClusterSpec(addresses, 1), {"rank": 1}, LONG) == [{"rank": 0}, {"rank": 1}]
        met.set()
        assert calls[0].result() == [{"rank": 0}, {"rank": 1}]


def test_visitors_do_not_lengthen_the_wait():
    mine, missing = free_ports(2)
    with (
        together(partial(rendezvous, ClusterSpec([f"localhost:{mine}", f"localhost:{missing}"], 0), {}, 2)) as calls,
        knock(mine) as visitor,
    ):
        while not calls[0].done():  # for ever, if it waits for the visitor
            with contextlib.suppress(OSError):
                visitor.sendall(b" ")
            time.sleep(0.2)
        with pytest.raises(WorkerError, match="did not come within 2 s"):
            calls[0].result()


@pytest.mark.parametrize("slow", [0, 1])
def test_a_name_server_that_does_not_answer_does_not_lengthen_the_wait(monkeypatch, slow):
    look_up, over = socket.getaddrinfo, threading.Event()

    def wait(host, *arguments, **options):
        if host == "slow.test":
            over.wait(LONG)
        return look_up("localhost", *arguments, **options)

    monkeypatch.setattr(socket, "getaddrinfo", wait)
    addresses = [f"localhost:{port}" for port in free_ports(2)]
    addresses[slow] = "slow.test:2222"
    with pytest.raises(WorkerError, match=r"slow\.test:2222.* within 1 s"):
        rendezvous(ClusterSpec(addresses, 0), {}, 1)
    assert not over.is_set()
    over.set()


def test_a_connection_that_reaches_itself_is_no_worker(monkeypatch):
    """Where nobody listens yet, the system may give a visitor the very port that it visits."""
    ports, connect, first = free_ports(2), socket.create_connection, []

    def reach_itself(address, timeout):
        if first or address[1] != ports[1]:
            return connect(address, timeout)
        first.append(socket.socket())
        first[0].bind(("localhost", 0))
        first[0].connect(first[0].getsockname())
        return first[0]

    monkeypatch.setattr(socket, "create_connection", reach_itself)
    with meet([f"localhost:{port}" for port in ports]) as calls:
        assert calls[0].result() == calls[1].result() == [{"rank": 0}, {"rank": 1}]
    assert first


# --- From the rendezvous to the training -----------------------------------------------------


def connected(*tasks, seconds=LONG):
    """Let each worker do its task within the rendezvous; the futures."""
    addresses = [f"localhost:{port}" for port in free_ports(len(tasks))]

    def enter(rank):
        with Workers(ClusterSpec(addresses, rank), {"rank": rank}, seconds) as workers:
            assert [info["rank"] for info in workers.infos] == list(range(len(tasks)))
            return tasks[rank](workers)

    return together(*(partial(enter, rank) for rank in range(len(tasks))))


def test_connected_workers_wait_for_one_that_takes_longer_than_the_rendezvous_may():
    def slowly(workers):
        time.sleep(4)  # the system looks after the connections, even where nobody reads
        connections = [channel.connection for channel in workers._rendezvous.channels.values()]
        assert len(connections) == 2
        assert all(each.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) for each in connections)
        return workers.all_gather({"audit": "clean"})

    with connected(slowly, *[lambda workers: workers.all_gather({})] * 2, seconds=3) as calls:
        assert [call.result() for call in calls] == [[{"audit": "clean"}, {}, {}]] * 3


@pytest.mark.parametrize("stops", [0, 1, 2])
@pytest.mark.parametrize(
    ("error", "words"),
    [(DataError("a.png: empty"), "a.png: empty"), (KeyboardInterrupt(), "KeyboardInterrupt")],
    ids=["error", "interrupt"],
)
def test_what_stops_one_worker_is_told_to_all(stops, error, words):
    def stop(workers):
        raise error

    tasks = [stop if rank == stops else (lambda workers: workers.all_gather({})) for rank in range(3)]
    with connected(*tasks) as calls:
        for rank, call in enumerate(calls):
            if rank == stops:
                assert call.exception() is error
            else:
                with pytest.raises(WorkerError, match=f"^worker {stops} stopped: {words}$"):
                    call.result()


@pytest.mark.parametrize("gone", [0, 1])
def test_a_worker_that_is_gone_is_named(gone):
    """As after SIGKILL, when only the system closes its connections."""

    def vanish(workers):
        workers._rendezvous.close()

    tasks = [vanish if rank == gone else (lambda workers: workers.all_gather({})) for rank in (0, 1)]
    with (
        connected(*tasks) as calls,
        pytest.raises(WorkerError, match=rf"worker {gone} \(localhost:\d+\) is gone. Its own output says why"),
    ):
        calls[1 - gone].result()


@pytest.mark.parametrize("gone", [0, 1, 2])
@pytest.mark.parametrize("ends", ["silently", "after its info", "with a reason"])
def test_a_worker_that_works_looks_whether_the_others_live(gone, ends):
    def end(workers):
        if ends == "with a reason":
            raise DataError("a.png: empty")
        if ends == "after its info" and gone:
            workers._send({"info": {}})
        workers._rendezvous.close()

    def work(workers):
        while True:
            workers.check()
            time.sleep(0.01)

    tasks = [end if rank == gone else work for rank in range(3)]
    said = "stopped: a.png: empty" if ends == "with a reason" else "is gone"
    with connected(*tasks) as calls:
        for rank, call in enumerate(calls):
            if rank != gone:  # worker 0 tells the others, which hear of it from nobody else
                with pytest.raises(WorkerError, match=rf"^worker {gone} .*{said}"):
                    call.result()


def test_the_port_is_kept_until_the_training_begins():
    def take(workers):
        port = int(workers._spec.addresses[workers._spec.rank].rpartition(":")[2])
        with pytest.raises(OSError):
            socket.create_server(("localhost", port))
        workers.all_gather({})
        return port

    with connected(take, take) as calls:
        ports = [call.result() for call in calls]
    for port in ports:
        socket.create_server(("localhost", port)).close()


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


@pytest.mark.long  # notebook 09 does it, without the shards
def test_after_a_killed_worker_all_start_again_and_end_with_the_same_weights(tmp_path):
    packed = tmp_path / "packed"  # one worker reads shards, which are the same data
    pack_pairs(SAMPLE / "images", SAMPLE / "masks", packed)
    shards = {1: ["--images", packed / "images", "--masks", packed / "masks"]}
    whole = Processes(tmp_path, [*TRAIN, "--output", tmp_path / "whole"], 2, shards)
    broken = Processes(tmp_path, [*TRAIN, "--output", tmp_path / "broken"], 2)
    broken.until(1, "Epoch 2/2")
    broken.processes[1].send_signal(signal.SIGKILL)
    assert broken.end() == [2, -signal.SIGKILL]
    assert "Stopped: another worker is gone. Epoch 1 is saved; start all workers again" in broken.said(0)
    again = Processes(tmp_path, [*TRAIN, "--output", tmp_path / "broken"], 2)
    assert again.end() == [0, 0], again.said(0) + again.said(1)
    assert "Going on after epoch 1." in again.said(0) and "Going on after epoch 1." in again.said(1)
    assert whole.end() == [0, 0], whole.said(0) + whole.said(1)
    for one, other in zip(last_weights(tmp_path / "whole"), last_weights(tmp_path / "broken"), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (tmp_path / "broken" / "run.json").is_file()


def copy_masks(folder, damage):
    """The masks of the sample in another folder, and the bytes of one of them changed."""
    masks = folder / "masks"
    masks.mkdir()
    for path in (SAMPLE / "masks").iterdir():
        (masks / path.name).write_bytes(path.read_bytes())
    (masks / "0002.png").write_bytes(damage((SAMPLE / "masks" / "0001.png").read_bytes()))
    return masks


TOLD_TO_END = """
import os, signal, time
from segfeed.distributed.cluster import ClusterSpec
from segfeed.distributed.replicas import make_replicas
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.default_int_handler)
replicas = make_replicas(ClusterSpec.read())
replicas.barrier()
for number in (signal.SIGINT, signal.SIGTERM):
    try:
        os.kill(os.getpid(), number)
        time.sleep(1)
        print(number.name, "is not heard")
    except KeyboardInterrupt:
        print(number.name, "is heard")
replicas.barrier()
"""


def test_workers_hear_the_signals_that_end_a_training(tmp_path):
    """TensorFlow takes SIGTERM for itself when several workers begin."""
    workers = Processes(tmp_path, ["-c", TOLD_TO_END], 2)
    assert workers.end() == [0, 0], workers.said(0)
    for rank in (0, 1):
        said = [line for line in workers.said(rank).splitlines() if line.endswith("heard")]
        assert said == ["SIGINT is heard", "SIGTERM is heard"]


@pytest.mark.parametrize("what", [pytest.param("settings", marks=pytest.mark.long), "data"])
def test_workers_with_other_settings_or_data_are_refused(tmp_path, what):
    changes = ["--batch", 4] if what == "settings" else ["--masks", copy_masks(tmp_path, lambda data: data)]
    words = "--batch is 8 for worker 0 and 4 for" if what == "settings" else "the data is 96 pairs, SHA-256 "
    workers = Processes(tmp_path, [*TRAIN, "--output", tmp_path / "run"], 2, {1: changes})
    assert workers.end() == [2, 2]
    for rank in range(2):
        assert f"Stopped: the workers differ: {words}" in workers.said(rank)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("what", [pytest.param("a taken folder", marks=pytest.mark.long), "a finding of the audit"])
def test_what_stops_worker_0_is_said_by_all(tmp_path, what):
    more, words = [], "holds files that are no run"
    if what == "a finding of the audit":
        more, words = ["--masks", copy_masks(tmp_path, lambda data: data[:100])], "1 of the findings would stop"
    else:
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "thesis.txt").touch()
    workers = Processes(tmp_path, [*TRAIN, "--output", tmp_path / "run", *more], 2)
    assert workers.end() == [2, 2]
    for rank, by in enumerate(["Stopped: ", "Stopped: worker 0 stopped: "]):
        said = workers.said(rank).splitlines()[-1]
        assert said.startswith(by) and words in said, said

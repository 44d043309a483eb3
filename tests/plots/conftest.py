"""A kernel to draw in, as a notebook has one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from queue import Empty

import pytest
from jupyter_client.manager import KernelManager

WAIT = 60


class Kernel:
    """A running kernel that answers with the messages a notebook page would get."""

    def __init__(self, client):
        self.client = client

    def until_idle(self, parent: str) -> list[dict]:
        messages = []
        while True:
            try:
                message = self.client.get_iopub_msg(timeout=WAIT)
            except Empty:
                raise AssertionError(f"the kernel fell silent after {messages}") from None
            if message["parent_header"].get("msg_id") != parent:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "status" and content["execution_state"] == "idle":
                return messages
            messages.append({"kind": kind, **content})

    def run(self, code: str) -> list[dict]:
        return self.until_idle(self.client.execute(code))

    def turn(self, comm_id: str, value: object) -> list[dict]:
        """Send what the browser sends when a reader moves a control."""
        content = {
            "comm_id": comm_id,
            "data": {"method": "update", "state": {"value": value}, "buffer_paths": []},
        }
        message = self.client.session.msg("comm_msg", content)
        self.client.shell_channel.send(message)
        return self.until_idle(message["header"]["msg_id"])


@pytest.fixture(scope="module")
def new_kernel() -> Iterator[Callable[..., Kernel]]:
    started = []

    def start(**environment: str) -> Kernel:
        manager = KernelManager(kernel_name="python3")
        inherited = {k: v for k, v in os.environ.items() if k != "MINILM_STATIC"}
        manager.start_kernel(env={**inherited, **environment})
        client = manager.blocking_client()
        client.start_channels()
        started.append((manager, client))
        client.wait_for_ready(timeout=WAIT)
        return Kernel(client)

    yield start
    for manager, client in started:
        client.stop_channels()
        manager.shutdown_kernel(now=True)

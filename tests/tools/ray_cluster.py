"""A cluster of Ray with three nodes on this machine, as a program.

Its nodes have addresses of the loopback range. It reads commands from standard input, a line
each, and answers each with a line of JSON. It ends, with all processes of the cluster, when its
input ends. The first line that it writes is the address of the cluster.

    limiter NAME RATE BURST    start the limiter of a run on a node that can be killed: 1 or 2
    where NAME                 the number of the node that the limiter is on
    kill NODE                  kill a node, without warning
    add NODE                   start a node in the place of one that was killed
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from importlib import import_module
from typing import Any

from moondream_transports.bulk.ray import RayLimiter
from sansio_moondream.limiter import RateLimit

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
STORE_BYTES = 80 * 2**20  # of each node, the least that Ray takes
CPUS = 3  # of each node, as far as Ray knows
MORTAL = "mortal"  # a resource of the nodes that can be killed


class ThreeNodes:
    """The cluster. Node 0 has no work: it cannot be killed."""

    def __init__(self) -> None:
        self._ray: Any = import_module("ray")
        cluster: Any = import_module("ray.cluster_utils").Cluster
        head = {
            "include_dashboard": False,
            "no_monitor": True,
            "_system_config": {"health_check_period_ms": 1000},  # a dead node is missed sooner
        }
        self.cluster = cluster(initialize_head=True, head_node_args=self._node(0) | head)
        self.nodes = {number: self._start(number) for number in (1, 2)}
        self.cluster.wait_for_nodes()
        address = self._node(0)["node_ip_address"]
        self._ray.init(
            address=self.cluster.address,
            _node_ip_address=address,
            logging_level="ERROR",
            log_to_driver=False,
        )

    def limiter(self, name: str, rate: str, burst: str) -> int:
        limit = RateLimit(float(rate), int(burst))
        RayLimiter(name, limit, resources={MORTAL: 0.01}).start()
        return self.where(name)

    def where(self, name: str) -> int:
        actor = self._ray.get_actor(name, namespace="moondream")
        found = self._ray.get(actor.where.remote())
        return next((number for number, node in self.nodes.items() if node.node_id == found), 0)

    def kill(self, node: str) -> None:
        self.cluster.remove_node(self.nodes.pop(int(node)), allow_graceful=False)

    def add(self, node: str) -> None:
        self.nodes[int(node)] = self._start(int(node))

    def close(self) -> None:
        self._ray.shutdown()
        self.cluster.shutdown()

    def _start(self, number: int) -> Any:
        return self.cluster.add_node(**self._node(number))

    def _node(self, number: int) -> dict[str, Any]:
        return {
            "node_ip_address": f"127.0.0.{number + 2}",
            "num_cpus": CPUS,
            "object_store_memory": STORE_BYTES,
            "include_log_monitor": False,
            "resources": {MORTAL: 1} if number else {},
        }


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # Ray prints to standard output, too
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        os.environ["RAY_TMPDIR"] = folder
        nodes = ThreeNodes()
        try:
            print(json.dumps(nodes.cluster.address), file=answers, flush=True)
            for line in sys.stdin:
                command, *arguments = line.split()
                answer = getattr(nodes, command)(*arguments)
                print(json.dumps(answer), file=answers, flush=True)
        finally:
            nodes.close()


if __name__ == "__main__":
    main()

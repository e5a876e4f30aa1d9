#!/usr/bin/env python3
"""A network that is cut: no FIN and no RST comes, as when a cable is pulled or a host loses power."""
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import namespace

namespace.enter()
import grpc_client

grpc_client.use_debian_python()
import grpc_test
import lib


def ip(arguments):
    subprocess.run(["ip", *arguments.split()], check=True)


class CutNetwork(unittest.TestCase):
    """The agent's host and that of a service, with a link between them."""

    links = 0  # A link goes some time after the network of its other end: each has its own name.

    def setUp(self):
        CutNetwork.links += 1
        self.here, self.there = f"agent{self.links}", f"service{self.links}"
        self.address = f"10.9.{self.links}.1"
        ip(f"link add {self.here} type veth peer name {self.there}")
        ip(f"addr add {self.address}/24 dev {self.here}")
        ip(f"link set {self.here} up")
        self.agent = self.enterContext(lib.Agent({"client_addr": f"127.0.0.1 {self.address}"}))

    def start_holder(self, *instances):
        """On the other host, which is a network of the process's own until the link is moved there."""
        holder = self.enterContext(grpc_test.Holder(
            self.agent.ports["grpc"], *instances, host=self.address,
            prefix=["unshare", "--net", "sh", "-c", 'echo; read linked; exec "$@"', "holder"]))
        holder.process.stdout.readline()  # It is in its network.
        ip(f"link set {self.there} netns {holder.process.pid}")
        there = ["nsenter", "--net", "--target", str(holder.process.pid)]
        for command in (f"ip addr add 10.9.{self.links}.2/24 dev {self.there}",
                        f"ip link set {self.there} up"):
            subprocess.run([*there, *command.split()], check=True)
        holder.process.stdin.write("linked\n")
        holder.process.stdin.flush()
        holder.wait_until_held()
        return holder

    def test_a_holder_behind_it_is_gone_from_dns(self):
        self.start_holder("cut-off:c1:80")
        self.assertEqual(grpc_test.addresses(self.agent, "cut-off"), ["127.0.0.9"])
        ip(f"link set {self.here} down")
        grpc_test.wait_until(lambda: grpc_test.addresses(self.agent, "cut-off") == [])

    def test_a_holder_is_back_once_it_is_mended(self):
        holder = self.start_holder("mended:m1:80")
        ip(f"link set {self.here} down")
        grpc_test.wait_until(lambda: grpc_test.addresses(self.agent, "mended") == [])
        ip(f"link set {self.here} up")
        holder.wait_until_held()
        self.assertEqual(grpc_test.addresses(self.agent, "mended"), ["127.0.0.9"])


if __name__ == "__main__":
    lib.main()

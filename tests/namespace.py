"""A network of the test's own, where every port is free, and mounts that nobody else sees."""
import os
import pathlib
import subprocess
import sys

_MARK = "PHAROS_TEST_NAMESPACE"


def enter():
    """Has the calling script run in new network and mount namespaces, in which it is root, with
    nothing in the network but loopback: it is started again there. Needs the right to make
    namespaces; without it nothing is run, which counts as a failure."""
    if os.environ.get(_MARK):
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        return
    os.environ[_MARK] = "yes"
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    os.execvp("unshare", ["unshare", "--net", "--mount", *user, sys.executable, *sys.argv])


def put_over(path, source):
    """Shows the file or directory `source` at `path`."""
    subprocess.run(["mount", "--bind", str(source), str(path)], check=True)


def put_empty_over(path):
    """Shows an empty directory at `path`."""
    subprocess.run(["mount", "-t", "tmpfs", "none", str(path)], check=True)
    return pathlib.Path(path)


def add_link():
    """A link beside loopback that is up and has an address; without one, some programs take this
    for a machine with no network."""
    for command in ("ip link add eth0 type veth peer name eth1", "ip link set eth1 up",
                    "ip link set eth0 up", "ip address add 198.51.100.1/24 dev eth0"):
        subprocess.run(command.split(), check=True)

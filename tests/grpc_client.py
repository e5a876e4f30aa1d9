"""gRPC for tests: Debian's python3-grpcio with stubs made from proto/.

A test file begins with `import grpc_client; grpc_client.use_debian_python()`, before anything that
needs grpc, as the packages are for Debian's Python.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

DEBIAN_PYTHON = "/usr/bin/python3"
ROOT = pathlib.Path(__file__).resolve().parent.parent
PROTOS = ["proto/discovery.proto", "proto/health.proto", "proto/rpc_status.proto",
          "tests/grpc/reflection.proto"]


def use_debian_python():
    """Runs this program again with Debian's Python, unless that is what runs it."""
    if os.path.realpath(sys.executable) != os.path.realpath(DEBIAN_PYTHON):
        os.execv(DEBIAN_PYTHON, [DEBIAN_PYTHON, *sys.argv])


def make_stubs(protos=PROTOS):
    """Makes stubs from the definitions, and lets them be imported (proto.discovery_pb2 ...)."""
    folder = tempfile.TemporaryDirectory(prefix="pharos-stubs-")
    plugin = subprocess.run(["which", "grpc_python_plugin"], check=True, capture_output=True,
                            text=True).stdout.strip()
    subprocess.run(["protoc", f"--proto_path={ROOT}", f"--python_out={folder.name}",
                    f"--grpc_python_out={folder.name}",
                    f"--plugin=protoc-gen-grpc_python={plugin}",
                    *[str(ROOT / each) for each in protos]], check=True)
    sys.path.insert(0, folder.name)
    return folder

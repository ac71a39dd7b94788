"""`ray up` and `ray down` of clusters/onprem.yaml, on three machines that SSH reaches and that
share a folder.
"""

import subprocess

import pytest

from tests.cluster.aws.client import Client
from tests.cluster.aws.files import onprem_file
from tests.cluster.aws.machines import Machine
from tests.cluster.aws.studies import SPACE
from tests.cluster.aws.transcript import Transcript
from tests.cluster.hosts import Network, wait_for

pytestmark = pytest.mark.cluster

HEAD, WORKERS = "198.18.0.20", ("198.18.0.21", "198.18.0.22")
CHANGES = {
    "head_ip: 192.0.2.1 ": f"head_ip: {HEAD} ",
    "worker_ips: [192.0.2.2, 192.0.2.3]": f"worker_ips: [{', '.join(WORKERS)}]",
}
FILE = "clusters/onprem.yaml"


def test_machines_of_ones_own_from_up_to_down(network: Network) -> None:
    transcript = Transcript()
    client = Client(network, transcript)
    rack = [machine(network, client, address) for address in (HEAD, *WORKERS)]
    client.write("search_spaces/small.yaml", SPACE)
    client.write(FILE, onprem_file(CHANGES))
    for command in ("pip install -e '.[aws]'", "ray get-auth-token --generate"):
        client.run(command)
    assert client.run(f"ictsweep cluster check {FILE}") == f"{FILE}: nothing wrong\n"
    client.run(f"ray up -y {FILE} --no-config-cache")
    study = "cd ~/app && ictsweep run search_spaces/small.yaml --storage /shared/studies"
    said = client.run(f"ray exec {FILE} '{study}'", seconds=400)
    assert "report: " in said
    assert all(map(rays, rack)), "every machine works"
    client.run(f"ray down -y {FILE}")
    wait_for(lambda: not rays(rack[0]), 10, "Ray is gone from the head")
    took = wait_for(lambda: not any(map(rays, rack)), 120, "Ray is gone from all machines")
    assert not any(one.is_off for one in rack)
    transcript.tell(f"left after {took:.0f} s: three machines, Ray's log monitor on the workers")


def machine(network: Network, client: Client, address: str) -> Machine:
    """A machine that the client may log in to."""
    key, shared = network.folder / "key", network.folder / "shared"
    shared.mkdir(exist_ok=True)
    if not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
        client.write_home(".ssh/id_ed25519", key.read_text())
    public = key.with_suffix(".pub").read_text().strip()
    return Machine(
        network, f"rack-{address.rpartition('.')[2]}", (address,), key=public,
        shared=shared,
    )  # fmt: skip


def rays(one: Machine) -> set[int]:
    """The processes of Ray on a machine. Its log monitor is not counted: on workers, which `ray
    down` leaves to notice that their head is gone, it stays until the next `ray up` or `ray stop`.
    """
    titles = {pid: title(pid) for pid in one.pids()}
    return {pid for pid, text in titles.items() if b"ray" in text and b"log_monitor" not in text}


def title(pid: int) -> bytes:
    """A process's command line; empty when it has ended."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""

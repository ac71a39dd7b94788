"""Machines with a file system of their own and an SSH server: what EC2 rents, and what stands in
somebody's rack.

A machine is this one as it is, plus what it writes itself: an overlay in its own memory. So it has
the user `ubuntu` with a virtual environment in ~/venv, and whatever else is done to it goes with
it. The virtual environment is this test run's, and pip is kept from the network: it finds that what
clusters/requirements.txt names is there already.
"""

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.cluster.hosts import Host, Network
from tests.cluster.rays import REPOSITORY

USER = "ubuntu"
HOME = Path("/home") / USER
NEEDED = ("/usr/sbin/sshd", "ssh", "rsync", "sudo", "useradd", "pivot_root")

_INIT = r"""
set -e
ip link set lo up
hostname $name
disk=$home/disk
mkdir $disk
mount -t tmpfs tmpfs $disk
layers=0
layer() {
  layers=$((layers + 1))
  mkdir -p $disk/$layers/own $disk/$layers/work $disk/root$1
  mount -t overlay overlay $disk/root$1 \
    -o lowerdir=$1,upperdir=$disk/$layers/own,workdir=$disk/$layers/work
}
layer /
cd $disk/root
for folder in tmp run; do mount -t tmpfs tmpfs $folder; done
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs tmpfs dev/shm
chmod 1777 tmp dev/shm
for folder in $places; do layer $folder; done
if [ -n "$shared" ]; then
  mkdir shared
  mount --bind $shared shared
  chmod 1777 shared
fi
mkdir old
pivot_root . old
cd /

user_home=/home/$user
id $user > /dev/null 2>&1 || useradd --home-dir $user_home --shell /bin/bash $user
usermod --password '*' $user
mkdir -p $user_home/.ssh
cp /etc/skel/.[!.]* $user_home
echo "$key" > $user_home/.ssh/authorized_keys
chown -R $user:$user $user_home
echo "$user ALL=(ALL) NOPASSWD:ALL" > /etc/sudoers.d/$user
printf "127.0.0.1 localhost\n$address $name\n" > /etc/hosts
: > /etc/resolv.conf
chmod 755 /root

mkdir $user_home/venv
mount --bind $prefix $user_home/venv
packages=$(echo $prefix/lib/python3*/site-packages)
chown $user $prefix/bin $packages $packages/__pycache__
chown -R $user $packages/*ictsweep* $packages/__pycache__/*ictsweep* $prefix/bin/ictsweep
printf '[global]\nno-index = true\nno-build-isolation = false\n' > $prefix/pip.conf

rm -f /usr/sbin/shutdown
printf '#!/bin/sh\nkill -TERM 1\n' > /usr/sbin/shutdown
chmod 755 /usr/sbin/shutdown

mkdir -p /run/sshd
ssh-keygen -q -t ed25519 -N '' -f /etc/ssh/key_of_this_machine
cat > /run/sshd_config << END
HostKey /etc/ssh/key_of_this_machine
AuthorizedKeysFile .ssh/authorized_keys
UsePAM no
PasswordAuthentication no
SetEnv $env
END
/usr/sbin/sshd -f /run/sshd_config -E /run/sshd.log
trap 'exit 0' TERM
touch /old$home/up
umount -l /old
while true; do sleep 3600 & wait; done
"""
# Layers: what a machine writes is kept in its memory, over what it found. `shutdown` ends the first
# process, and with it the machine.


class Machine(Host):
    """A machine at `addresses`, the first of them its own network's. Who has the private half of
    `key` may log in, and finds `env`, and in /shared the folder of that name.
    """

    def __init__(
        self, network: Network, name: str, addresses: tuple[str, ...], *, key: str,
        env: Mapping[str, str] | None = None, shared: Path | None = None,
    ) -> None:  # fmt: skip
        self.addresses = addresses
        there = {"LANG": "C.UTF-8", **(env or {})}
        super().__init__(
            network.folder / name, name, addresses[0], _INIT, user=USER, key=key,
            prefix=sys.prefix, places=" ".join(map(str, _places())), shared=str(shared or ""),
            env=" ".join(f"{name}={value}" for name, value in there.items()),
        )  # fmt: skip
        network.plug(self)

    def connect(self) -> None:
        """Give the machine its addresses. Every address is taken to be on this link."""
        for address in self.addresses:
            self._ip("addr", "add", f"{address}/32", "dev", "eth0")
        self.join()

    def disk(self, path: Path) -> Path:
        """A path of the machine as it is reached from outside."""
        return Path(f"/proc/{self.first}/root") / path.relative_to("/")


def lacking() -> str | None:
    """Why machines cannot be made here, though hosts can; None where they can."""
    absent = [tool for tool in NEEDED if shutil.which(tool) is None]
    return f"machines need {', '.join(absent)}" if absent else None


def _places() -> list[Path]:
    """The checkout and the Python of this run, which may lie where a machine has something else."""
    return [REPOSITORY, *dict.fromkeys((Path(sys.base_prefix), Path(sys.prefix)))]

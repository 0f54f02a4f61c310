# Starts systemd as the first process of namespaces of its own, over the files of this machine, of which it changes none, with
# the folder $1 as /trial. When the service `trial` ends, it ends with that service's status.
set -eu
group=$(findmnt -n -t cgroup2 -o TARGET | head -n 1)/underpass-test-$$
mkdir "$group"
# What is in there has ended with the first process.
trap 'cd /; echo $$ >"$group/../cgroup.procs"; find "$group" -depth -type d -exec rmdir {} +' EXIT
echo $$ >"$group/cgroup.procs"
unshare --mount --pid --fork --kill-child --uts --ipc --net --cgroup --propagation private sh -euc '
  mount -t tmpfs tmpfs "$1/machine"
  cd "$1/machine"
  mkdir changed work root
  mount -t overlay -o lowerdir=/,upperdir=changed,workdir=work overlay root
  cd root
  mount -t proc proc proc
  mount -t sysfs sysfs sys
  mount -t cgroup2 cgroup2 sys/fs/cgroup
  for folder in run tmp dev; do mount -t tmpfs tmpfs "$folder"; done
  for device in null zero full random urandom tty; do cp -a "/dev/$device" dev/; done
  mkdir dev/pts dev/shm old trial
  ln -s /proc/self/fd dev/fd
  ln -s pts/ptmx dev/ptmx
  mount -t devpts devpts dev/pts
  mount -t tmpfs tmpfs dev/shm
  mount --bind "$1" trial
  ip link set lo up
  cp trial/units/system/* trial/trial.service etc/systemd/system/
  pivot_root . old
  umount -l /old
  # Credentials come to a service by propagation. systemd sees to that, but not where it is told that this is a container.
  mount --make-rshared /
  exec env -i container=lxc PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    /lib/systemd/systemd --system --unit=trial.service --log-target=null --show-status=no' sh "$1"

#!/bin/sh
# boot.sh NAME LAYERS BRIDGE CGROUP...: becomes the supervisor of one machine.
# The working directory is the machine's, with upper, work and root.
#
# Nothing outlives the machine: the overlay is mounted in a mount namespace that ends with this
# process, and all of its processes are in cgroups of its own.
set -eu
name=$1 layers=$2 bridge=$3
shift 3
for cgroup; do
    mkdir -p "$cgroup"
    echo $$ >"$cgroup/cgroup.procs"
done

read -r stat </proc/$$/stat
read -r boot </proc/sys/kernel/random/boot_id
# shellcheck disable=SC2086 # the words after the process's name are the fields from 3 on
set -- ${stat##*) }
printf '{"pid": %d, "start_ticks": %d, "boot": "%s"}\n' $$ "${20}" "$boot" >process.partial
mv process.partial process.json

# shellcheck disable=SC2016 # expanded by the inner shell
exec unshare --mount --propagation private sh -euc '
    layers=$1
    shift
    mount -t overlay overlay -o "lowerdir=$layers,upperdir=upper,workdir=work" root
    exec "$@"
' boot "$layers" \
    systemd-nspawn --directory=root --boot --register=no --keep-unit --machine="$name" \
    --network-bridge="$bridge" --capability=all --system-call-filter='@keyring bpf' \
    --resolv-conf=off --timezone=off --link-journal=no --console=read-only

#!/bin/sh
# Runs once inside the base image: what is the same on every machine of the lab.
# The container image lies in /image.tar.
set -eu

systemctl enable systemd-networkd.service kernel-settings.service
systemctl mask \
    apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer \
    e2scrub_reap.service fstrim.timer console-getty.service getty@.service \
    systemd-pstore.service systemd-networkd-wait-online.service

# Every machine gets its own, when its disk is made.
rm -f /etc/ssh/ssh_host_* /etc/machine-id /etc/hostname
# Exists, so that the journal outlives a power cycle.
mkdir -p /var/log/journal
rm -rf /var/cache/apt/archives/*.deb /var/lib/apt/lists/* /var/log/*.log /var/log/apt

# The image goes into containerd's store here, so that no machine has to import it at its start.
containerd --log-level error &
containerd=$!
i=0
until ctr version >/dev/null 2>&1; do
    i=$((i + 1))
    [ "$i" -lt 100 ] || { echo 'containerd does not answer' >&2; exit 1; }
    sleep 0.1
done
ctr -n k8s.io images import --snapshotter native /image.tar
kill "$containerd"
wait "$containerd" || true
rm -f /image.tar

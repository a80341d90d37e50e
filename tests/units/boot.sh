#!/usr/bin/env bash
# The first process of a machine of its own (namespaces of processes, mounts, names, control groups): becomes systemd.
# In: the directory of the test, with `units`, `gradwatch`, `steps.sh`, `gradwatch.toml` and `nobody.toml`.
set -euo pipefail
dir=$1
mount --make-rprivate /
# What LoadCredential= mounts would stay empty without this.
mount --make-rshared /
for place in /run /opt /var/lib; do
    mount -t tmpfs gradwatch-test "$place"
done
mount -t cgroup2 gradwatch-test /sys/fs/cgroup
mkdir -p -m 0700 /var/lib/private
mkdir -p /opt/runs/a /opt/runs/b /run/systemd/system
cp "$dir/gradwatch" "$dir"/*.toml /opt/
install -m 0600 "$dir/password" /opt/password
cp "$dir"/units/*.service /run/systemd/system/

# The units stay as they are shipped. What a container has no use for is left out, and where things are is said.
printf '[Unit]\nDefaultDependencies=no\n' >/run/systemd/system/network-online.target
for unit in gradwatch.service gradwatch@.service; do
    name=gradwatch
    [ "$unit" = gradwatch.service ] || name=%i
    mkdir -p "/run/systemd/system/$unit.d"
    cat >"/run/systemd/system/$unit.d/here.conf" <<CONF
[Unit]
DefaultDependencies=no
[Service]
ExecStart=
ExecStart=/opt/gradwatch watch --config /opt/$name.toml
LoadCredential=smtp-password:/opt/password
WatchdogSec=3
StandardOutput=append:$dir/said
StandardError=append:$dir/said
CONF
done
cat >/run/systemd/system/steps.service <<CONF
[Unit]
DefaultDependencies=no
Wants=gradwatch.service gradwatch@nobody.service
After=gradwatch.service gradwatch@nobody.service
[Service]
Type=oneshot
ExecStart=/bin/bash $dir/steps.sh $dir
CONF
printf '[Unit]\nDefaultDependencies=no\nWants=steps.service\n' >/run/systemd/system/steps.target
export container=test
exec "$(command -v systemd || echo /lib/systemd/systemd)" --system --unit=steps.target --log-target=console

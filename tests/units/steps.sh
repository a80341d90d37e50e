#!/usr/bin/env bash
# What is done with the units once they are started, step by step; the test outside answers by files.
# In: the directory of the test. Out: `steps` there, a line per step.
set -uo pipefail
dir=$1
exec >"$dir/steps" 2>&1

# Waits until a command succeeds; ends the machine when that takes too long.
until_true() {
    local begun=$SECONDS
    until "$@"; do
        if [ $((SECONDS - begun)) -gt 90 ]; then
            echo "in vain: $*"
            finish
        fi
        read -r -t 0.1 <> <(:) || true
    done
}
finish() {
    # systemd in a container ends by this signal (SIGRTMIN+3).
    kill -37 1
    exit
}
value() { systemctl show "$1" -p "$2" --value; }
has_value() { [ "$(value "$1" "$2")" = "$3" ]; }
status() { /opt/gradwatch status --state /var/lib/gradwatch --format json; }
# What was heard may not have been noted yet: then it is sent again after a restart.
is_all_sent() { status | grep -q '"open": 0'; }
rows() { for step in $(seq "$1" "$2"); do echo "{\"step\": $step, \"loss\": $3}"; done; }

for unit in gradwatch.service gradwatch@nobody.service; do
    pid=$(value $unit MainPID)
    user=$(stat -c %U "/proc/$pid" 2>/dev/null)
    echo "started $unit: $(value $unit ActiveState) $(value $unit StatusText) as $user"
done
echo "state: $(stat -c %a:%U /var/lib/private/gradwatch)"
# The daemon sees its own state directory, and nothing else that it could write to.
pid=$(value gradwatch.service MainPID)
nsenter -t "$pid" -m sh -c 'touch /etc/gradwatch-test 2>/dev/null && echo "etc: open" || echo "etc: closed"'
nsenter -t "$pid" -m stat -c "credential: %a" /run/credentials/gradwatch.service/smtp-password

rows 0 59 2.5 >/opt/runs/a/metrics.jsonl
rows 60 69 NaN >>/opt/runs/a/metrics.jsonl
until_true test -e "$dir/heard-a"
until_true is_all_sent
kill -STOP "$pid"
rows 0 59 2.5 >/opt/runs/b/metrics.jsonl
rows 60 69 NaN >>/opt/runs/b/metrics.jsonl
begun=${EPOCHREALTIME/./}
until_true has_value gradwatch.service NRestarts 1
echo "watchdog: restarted after $(((${EPOCHREALTIME/./} - begun) / 100000)) tenths of a second"
until_true has_value gradwatch.service ActiveState active
until_true test -e "$dir/heard-b"

begun=${EPOCHREALTIME/./}
systemctl stop gradwatch.service
echo "stopped: $(value gradwatch.service Result) after $(((${EPOCHREALTIME/./} - begun) / 100000)) tenths of a second"
systemctl stop gradwatch@nobody.service
echo "all done"
finish

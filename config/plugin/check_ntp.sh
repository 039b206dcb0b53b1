#!/bin/sh
# Checks whether a time synchronization service is running.
#
# Exit status: 0 one is, 1 none is, 2 unknown.
#
# Usage: check_ntp.sh [UNIT...]
# The units are the usual ones by default. systemctl must reach the node's systemd: in a pod it needs the host's
# /run/systemd and the D-Bus socket. A running service does not mean that the clock is right: the metric
# clock/synchronized of a system stats monitor shows that.

set -u

readonly OK=0 PROBLEM=1 UNKNOWN=2

if [ $# -eq 0 ]; then
  set -- chronyd.service chrony.service systemd-timesyncd.service ntpsec.service ntpd.service ntp.service
fi

if ! command -v systemctl > /dev/null 2>&1; then
  echo "systemctl is not installed"
  exit "$UNKNOWN"
fi

# Whether systemd answers at all. It prints "running", "degraded", "starting" and so on, or nothing, "offline" or "unknown".
case $(systemctl is-system-running 2> /dev/null) in
  '' | offline | unknown)
    echo "systemd cannot be asked"
    exit "$UNKNOWN"
    ;;
esac

for unit in "$@"; do
  if systemctl -q is-active "$unit" 2> /dev/null; then
    echo "$unit is running"
    exit "$OK"
  fi
done
echo "none of these is running: $*"
exit "$PROBLEM"

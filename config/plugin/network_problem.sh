#!/bin/sh
# Says whether the connection tracking table is nearly full: then new connections are dropped.
#
# Exit status: 0 there is room, 1 more than 90 % is used, 2 nobody can tell.
#
# Usage: network_problem.sh [PERCENT]
# The table is that of the network namespace that this runs in: a pod needs `hostNetwork: true` to see the node's. There the
# limit of the node is not shown at all by new kernels, and then this says that it cannot tell.

set -u

readonly OK=0 PROBLEM=1 UNKNOWN=2

percent=${1:-90}
case $percent in
  '' | *[!0-9]*)
    echo "the threshold $percent is no number of percent"
    exit "$UNKNOWN"
    ;;
esac

# Reads one number from the first of these files that is there.
first_number() {
  for file in "$@"; do
    if [ -r "$file" ] && read -r number < "$file"; then
      echo "$number"
      return 0
    fi
  done
  return 1
}

proc=${HOST_PROC:-/proc}/sys/net
# The older names are those of kernels before 2.6.20.
count=$(first_number "$proc/netfilter/nf_conntrack_count" "$proc/ipv4/netfilter/ip_conntrack_count")
max=$(first_number "$proc/netfilter/nf_conntrack_max" "$proc/nf_conntrack_max" "$proc/ipv4/netfilter/ip_conntrack_max" \
  "$proc/ipv4/ip_conntrack_max")

for number in "$count" "$max"; do
  case $number in
    '' | *[!0-9]*)
      echo "connection tracking is not used here, or its size cannot be read"
      exit "$UNKNOWN"
      ;;
  esac
done
if [ "$max" -eq 0 ]; then
  # No limit.
  echo "conntrack: $count entries, no limit"
  exit "$OK"
fi

used=$((count * 100 / max))
if [ $((count * 100)) -gt $((max * percent)) ]; then
  echo "conntrack table is $used % full: $count of $max"
  exit "$PROBLEM"
fi
echo "conntrack table is $used % full"
exit "$OK"

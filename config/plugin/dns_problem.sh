#!/bin/sh
# Checks whether a name can be resolved.
#
# Exit status: 0 it can, 1 it cannot, 2 unknown.
#
# Usage: dns_problem.sh [NAME]
# The name is kubernetes.default by default, which only the cluster's DNS knows: a pod with `hostNetwork: true` needs
# `dnsPolicy: ClusterFirstWithHostNet` to ask that. On a node give a name that the node's own resolver should know.

set -u

readonly OK=0 PROBLEM=1 UNKNOWN=2

name=${1:-kubernetes.default}

if ! command -v getent > /dev/null 2>&1; then
  echo "getent is not installed"
  exit "$UNKNOWN"
fi

getent hosts "$name" > /dev/null 2>&1
case $? in
  0)
    echo "$name is resolved"
    exit "$OK"
    ;;
  2)
    echo "$name is not resolved"
    exit "$PROBLEM"
    ;;
  *)
    # 1: a call that getent does not know, 3: a database that cannot be listed.
    echo "getent cannot be used"
    exit "$UNKNOWN"
    ;;
esac

#!/bin/sh
# Says whether rules were made with both kinds of iptables, legacy and nft: the kernel then works through both, in an order
# that nobody asked for.
#
# Exit status: 0 at most one kind is used, 1 both are, 2 nobody can tell.

set -u

readonly OK=0 PROBLEM=1 UNKNOWN=2

# Counts the rules and chains that an iptables-save prints; nothing when it cannot be asked.
rules() {
  command -v "$1" > /dev/null 2>&1 || return 1
  # nft warns on stderr that there are legacy rules.
  saved=$("$1" 2> /dev/null) || return 1
  # A chain of its own is ":NAME -", a built-in one has a policy.
  printf '%s\n' "$saved" | grep -c -E '^(-A|:[^ ]+ -)' || true
}

# Both kinds for one address family. 1 when neither can be asked.
both() {
  legacy=$(rules "$1-legacy-save") || legacy=''
  nft=$(rules "$1-nft-save") || nft=''
  [ -n "$legacy" ] && [ -n "$nft" ]
}

asked=no
for family in iptables ip6tables; do
  if both "$family"; then
    asked=yes
    if [ "$legacy" -gt 0 ] && [ "$nft" -gt 0 ]; then
      echo "$family has both legacy ($legacy) and nft ($nft) rules"
      exit "$PROBLEM"
    fi
  fi
done

if [ "$asked" = no ]; then
  echo "iptables-legacy-save and iptables-nft-save cannot both be asked"
  exit "$UNKNOWN"
fi
echo "one kind of iptables is used at most"
exit "$OK"

#!/usr/bin/env bash
# Lists the accounts that are installed on this host, and refuses two that share a port, or keys of one Redis: exit code 78.
# `accounts.sh` is about all of them. `accounts.sh ACCOUNT` is about what this one shares with others, and prints nothing
# else: each account's unit runs it before its start. `--root DIR`: the host below DIR.
set -euo pipefail

readonly UNIT=quantum-position-state-brain SETTINGS=position-state-brain.env
# What Binance allows an address: request weight a minute, and streams opened in 5 minutes.
readonly MOST_WEIGHT=2400 MOST_STREAMS=300
readonly EX_CONFIG=78

root='' only=''
while (($#)); do
  case $1 in
    --root) root=${2%/} && shift ;;
    *) only=$1 ;;
  esac
  shift
done
readonly UNITS=$root/etc/systemd/system QUANTUM=$root/etc/quantum

declare -A given # settings of one file, by name
accounts=()      # in the order of their names; the service without a name is ''
declare -A prefix redis port weight streams

# As systemd reads them: NAME=value lines, a value may stand in quotes, of two of one name the later counts.
read_settings() { # file
  local line value
  given=()
  while IFS= read -r line || [[ $line ]]; do
    [[ $line =~ ^[[:space:]]*([A-Za-z_][A-Za-z0-9_]*)=(.*)$ ]] || continue
    local name=${BASH_REMATCH[1]}
    value=${BASH_REMATCH[2]}
    value=${value%"${value##*[![:space:]]}"}
    [[ $value =~ ^\"(.*)\"$ || $value =~ ^\'(.*)\'$ ]] && value=${BASH_REMATCH[1]}
    given[$name]=$value
  done <"$1"
}

# The server and database that settings lead to, without a login. Of Sentinels the service that they watch.
redis_of_settings() {
  local url=${given[REDIS_URL]-} scheme place db
  [[ $url ]] || url=redis://${given[REDIS_HOST]:-localhost}:${given[REDIS_PORT]:-6379}/${given[REDIS_DB]:-0}
  scheme=${url%%://*} place=${url#*://}
  if [[ $scheme == unix ]]; then
    db=0
    [[ ! $place =~ [?\&]db=([0-9]+) ]] || db=${BASH_REMATCH[1]}
    place=${place%%\?*}
    echo "/${place#*/} $db"
    return
  fi
  place=${place%%\?*}
  place=${place##*@}
  if [[ $scheme == *+sentinel ]]; then
    place=${place#*/}
    db=0
    [[ $place != */* ]] || db=${place#*/}
    echo "sentinel:${place%%/*} ${db:-0}"
    return
  fi
  db=0
  [[ $place != */* ]] || db=${place#*/}
  place=${place%%/*}
  place=${place,,}
  [[ $place =~ :[0-9]+$ ]] || place+=:6379
  case ${place%:*} in
    127.0.0.1 | '[::1]' | ::1) place=localhost:${place##*:} ;;
  esac
  echo "$place ${db:-0}"
}

take() { # account, file
  read_settings "$2"
  accounts+=("$1")
  # An associative array has no empty key.
  prefix[.$1]=${given[P33_KEY_PREFIX]:-quantum}
  redis[.$1]=$(redis_of_settings)
  port[.$1]=${given[P33_METRICS_PORT]:-8045}
  weight[.$1]=${given[P33_WEIGHT_BUDGET_PER_MIN]:-1200}
  streams[.$1]=${given[P33_CONNECTIONS_PER_5MIN]:-60}
}

# An account is installed while its unit has the drop-in that install.sh writes.
take_all() {
  local file account
  if [[ -f $UNITS/$UNIT.service && -f $QUANTUM/$SETTINGS ]]; then
    take '' "$QUANTUM/$SETTINGS"
  fi
  for file in "$QUANTUM"/accounts/*/"$SETTINGS"; do
    account=${file%/*}
    account=${account##*/}
    [[ ! -f $file || ! -f $UNITS/$UNIT@$account.service.d/credentials.conf ]] || take "$account" "$file"
  done
}

called() { [[ $1 ]] && echo "account $1" || echo 'the service without an account'; }

# Prefixes share keys where one is the other, or its beginning up to a colon.
clashes() { # account, other
  local one=.$1 other=.$2
  if [[ ${redis[$one]} == "${redis[$other]}" &&
    (${prefix[$one]}: == "${prefix[$other]}:"* || ${prefix[$other]}: == "${prefix[$one]}:"*) ]]; then
    echo "$(called "$1") and $(called "$2") share keys on ${redis[$one]}: P33_KEY_PREFIX is ${prefix[$one]}" \
      "and ${prefix[$other]}; each account needs its own"
  fi
  if [[ ${port[$one]} == "${port[$other]}" && ${port[$one]} != 0 ]]; then
    echo "$(called "$1") and $(called "$2") have one port: P33_METRICS_PORT is ${port[$one]} for both; each needs" \
      "its own"
  fi
}

all_clashes() {
  local first second
  for ((first = 0; first < ${#accounts[@]}; first++)); do
    for ((second = first + 1; second < ${#accounts[@]}; second++)); do
      if [[ -z $only || ${accounts[first]} == "$only" || ${accounts[second]} == "$only" ]]; then
        clashes "${accounts[first]}" "${accounts[second]}"
      fi
    done
  done
}

list() {
  local account line='%-20s %-20s %-32s %6s %7s %7s\n'
  # shellcheck disable=SC2059  # the format of all lines
  printf "$line" account 'key prefix' 'redis, database' port weight streams
  for account in "${accounts[@]}"; do
    # shellcheck disable=SC2059
    printf "$line" "${account:-(none)}" "${prefix[.$account]}" "${redis[.$account]}" "${port[.$account]}" \
      "${weight[.$account]}" "${streams[.$account]}"
  done
  add_up 'of request weight a minute' $MOST_WEIGHT P33_WEIGHT_BUDGET_PER_MIN "${weight[@]}"
  add_up 'streams in 5 minutes' $MOST_STREAMS P33_CONNECTIONS_PER_5MIN "${streams[@]}"
}

add_up() { # what, limit, setting, shares
  local share sum=0
  for share in "${@:4}"; do
    [[ ! $share =~ ^[0-9]+$ ]] || sum=$((sum + share))
  done
  ((sum <= $2)) || echo "The shares add up to $sum $1, of $2 that Binance allows an address: lower $3 where these" \
    'accounts have one address.'
}

take_all
[[ $only ]] || list
said=$(all_clashes)
if [[ $said ]]; then
  printf '%s\n' "$said" >&2
  exit $EX_CONFIG
fi

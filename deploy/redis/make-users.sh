#!/usr/bin/env bash
# Makes passwords for the Redis users of users.acl: `make-users.sh FOLDER [KEY_PREFIX [ROLE…]]` writes
# FOLDER/users.acl for Redis, and FOLDER/<user>.password for whoever logs in as that user. Each ROLE (universe, executor,
# governor, reconcile, decision_intelligence) gives the service's user what that role needs, and governor the operator's user the trading state
# and holds. The role page gives the service's user what is done on the page, and the operator's user `republish`.
# Passwords that are there are kept: running it again changes none.
# `make-users.sh --account NAME FOLDER …`: users of one of several accounts on a Redis, p33-NAME, p33-gate-NAME and
# p33-operator-NAME, confined to KEY_PREFIX, which is NAME unless it is given. Take a folder for each account.
set -euo pipefail
umask 077

account=''
if [[ ${1:-} == --account && ${2:-} ]]; then
  account=$2
  shift 2
fi
(($# >= 1)) || {
  sed -n '2,8s/^# //p' "$0" >&2
  exit 2
}
here=$(dirname "${BASH_SOURCE[0]}")
folder=$1 prefix=${2:-${account:-quantum}}
[[ -z $account || $account =~ ^[A-Za-z0-9][A-Za-z0-9_-]{0,23}$ ]] || {
  echo "make-users.sh: $account cannot be an account's name" >&2
  exit 2
}
[[ $prefix =~ ^[A-Za-z0-9_:-]{1,64}$ ]] || {
  echo "make-users.sh: $prefix cannot be a key prefix" >&2
  exit 2
}
rights='' operators=''
for role in "${@:3}"; do
  [[ $role =~ ^[a-z_]+$ && -f $here/roles/$role.acl ]] || {
    echo "make-users.sh: no role $role; there are: $(cd "$here/roles" && printf '%s ' *.acl | sed 's/\.acl//g')" >&2
    exit 2
  }
  rights+=" $(<"$here/roles/$role.acl")"
  [[ ! -f $here/roles/$role.operator ]] || operators+=" $(<"$here/roles/$role.operator")"
done
users=$(<"$here/users.acl")
service=${users%%$'\n'*}
users=$service$rights${users#"$service"}$operators
users=${users//"~quantum:"/"~$prefix:"}
nobody=$(printf '0%.0s' {1..64})

mkdir -p "$folder"
for shipped in p33 p33-gate p33-operator; do
  user=$shipped${account:+-$account}
  password=$folder/$user.password
  [[ -s $password ]] || head -c 32 /dev/urandom | base64 | tr -d '+/=\n' >"$password"
  digest=$(tr -d '\n' <"$password" | sha256sum | cut -c1-64)
  users=${users/"user $shipped on #$nobody"/"user $user on #$digest"}
  echo "$password"
done
printf '%s\n' "$users" >"$folder/users.acl"
echo "$folder/users.acl: add your other services' users to it, then 'user default off'"

#!/usr/bin/env bash
# Installs the Position State Brain from this checkout, upgrades it, rolls it back, or takes it away again.
# Running it twice is the same as running it once. `install.sh --help` says what it can do.
set -euo pipefail
umask 022

readonly NAME=position-state-brain
readonly UNIT=quantum-position-state-brain.service TEMPLATE=quantum-position-state-brain@.service
readonly SECRETS=(REDIS_PASSWORD REDIS_SENTINEL_PASSWORD BINANCE_API_KEY BINANCE_API_SECRET
  BINANCE_TESTNET_API_KEY BINANCE_TESTNET_API_SECRET P33_PERMIT_SIGNING_KEY P33_NOTICE_URL
  P33_PAGE_TOKEN)
SOURCE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
readonly SOURCE

root='' action=install python='' wheel='' gate_wheel='' secret='' dry='' purge='' changed='' enable=yes account=''
# A release or unit that all accounts have was replaced; the action has a service of its own.
replaced='' own=yes

usage() {
  cat <<'TEXT'
install.sh                       install, or upgrade to what this checkout holds
install.sh --set-secret NAME     store one secret, read from standard input, as a systemd credential
install.sh --rollback            back to the release before the last upgrade
install.sh --uninstall           take it away; settings and secrets stay
install.sh --uninstall --purge   take settings, secrets and the user away as well
install.sh --accounts            list the accounts of this host; exit code 78: two share keys or a port
install.sh --version             say which version it installs

  --account NAME   the service of one of several accounts on this host: with settings, secrets, key prefix, port and
                   unit of its own, and the release of all. Goes with all of the above but --rollback
  --dry-run        say what would be done, and do nothing
  --root DIR       install below DIR instead of /: no user is made, and nothing is started
  --python PATH    the interpreter, 3.11 to 3.14 (default: the newest of python3.14 to python3.11, python3)
  --wheel FILE     install this wheel, and permit-gate's beside it, instead of building both from the checkout
  --no-enable      do not enable or start the service

Secrets: REDIS_PASSWORD, REDIS_SENTINEL_PASSWORD, BINANCE_API_KEY, BINANCE_API_SECRET,
BINANCE_TESTNET_API_KEY, BINANCE_TESTNET_API_SECRET, P33_PERMIT_SIGNING_KEY,
P33_NOTICE_URL, P33_PAGE_TOKEN. An empty standard input removes one.
TEXT
}

fail() {
  echo "install.sh: $1" >&2
  exit "${2:-1}"
}

version() { sed -n 's/^version = "\(.*\)"$/\1/p' "$SOURCE/pyproject.toml"; }

say() { printf '%-12s %s\n' "$1" "$2"; }

# Everything that changes something goes through here.
act() {
  if [[ $dry ]]; then
    say 'would run' "$*"
  else
    "$@"
  fi
}

parse() {
  while (($#)); do
    case $1 in
      --help | -h) usage && exit ;;
      --version) echo "install.sh of $NAME $(version)" && exit ;;
      --dry-run) dry=yes ;;
      --uninstall) action=uninstall ;;
      --accounts) action=list_accounts ;;
      --rollback) action=rollback ;;
      --purge) purge=yes ;;
      --no-enable) enable='' ;;
      --root | --python | --wheel | --set-secret | --account)
        (($# > 1)) || fail "$1 needs a value" 2
        case $1 in
          --root) root=${2%/} ;;
          --python) python=$2 ;;
          --wheel) wheel=$2 ;;
          --set-secret) action=set_secret secret=$2 ;;
          --account) account=$2 && is_account "$2" ;;
        esac
        shift
        ;;
      *) fail "unknown argument $1; --help says what there is" 2 ;;
    esac
    shift
  done
  [[ -z $root || $root == /* ]] || fail '--root needs an absolute path' 2
  [[ -z $wheel || -f $wheel ]] || fail "there is no wheel $wheel" 2
  if [[ $wheel ]]; then
    gate_wheel=$(find "$(dirname "$wheel")" -maxdepth 1 -name 'permit_gate-*.whl')
    [[ -f $gate_wheel ]] || fail "beside $wheel there has to be one wheel of permit-gate, permit_gate-*.whl" 2
  fi
  [[ -z $purge || $action == uninstall ]] || fail '--purge goes with --uninstall' 2
  [[ -z $account || $action != rollback ]] || fail 'all accounts run one release: --rollback without --account' 2
  if [[ -z $root && -z $dry ]] && ((EUID != 0)); then
    fail 'run it as root, or with --root DIR or --dry-run'
  fi
  opt=$root/opt/$NAME etc=$root/etc/quantum units=$root/etc/systemd/system
  unit=$(unit_of "$account") home=$etc${account:+/accounts/$account}
  env_file=$home/$NAME.env credentials=$home/credentials drop_in=$units/$unit.d/credentials.conf
  command=$root/usr/local/bin/$NAME
}

is_account() {
  [[ $1 =~ ^[A-Za-z0-9][A-Za-z0-9_-]{0,23}$ ]] ||
    fail "$1 cannot be an account's name: up to 24 letters, digits, _ and -, of which the first is no - or _" 2
}

# The unit of an account; for '' that of the service without one.
unit_of() { [[ $1 ]] && echo "${TEMPLATE/@/@$1}" || echo "$UNIT"; }

has_single() { [[ -f $units/$UNIT ]]; }

is_installed() {
  if [[ $account ]]; then
    [[ -f $drop_in ]]
  else
    has_single
  fi
}

accounts() { # those that are installed
  local found
  for found in "$units/${TEMPLATE%.service}"?*.service.d/credentials.conf; do
    found=${found%.service.d/credentials.conf}
    [[ ! -f $found.service.d/credentials.conf ]] || echo "${found##*@}"
  done
}

# Whether systemd runs here, and is to run the service.
on_this_host() { [[ -z $root && -d /run/systemd/system ]]; }

# Puts standard input into a file where that changes it.
put() { # file mode
  local content
  content=$(cat && echo .)
  if [[ -f $1 ]] && cmp -s "$1" <(printf %s "${content%.}"); then
    say unchanged "$1"
    return
  fi
  changed=yes
  if [[ $dry ]]; then
    say 'would write' "$1"
    return
  fi
  mkdir -p "$(dirname "$1")"
  (umask 077 && printf %s "${content%.}" >"$1.new")
  chmod "$2" "$1.new"
  mv -f "$1.new" "$1"
  say wrote "$1"
}

# The service sees no home folder, so an interpreter that lives in one would not start there.
suits() { # interpreter
  "$1" -c '
import sys, ensurepip, venv
at_home = sys.base_prefix.startswith(("/root/", "/home/", "/run/user/"))
sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14) or at_home and not sys.argv[1])
' "$root" 2>/dev/null
}

choose_python() {
  local candidate candidates=(python3.14 python3.13 python3.12 python3.11 python3 /usr/bin/python3)
  [[ -z $python ]] || candidates=("$python")
  for candidate in "${candidates[@]}"; do
    if suits "$candidate"; then
      python=$(command -v "$candidate")
      return
    fi
  done
  fail "${python:-python3} is not Python 3.11 to 3.14 with venv, outside of home folders;\
 on Debian: apt-get install python3-venv"
}

make_user() {
  if [[ $root ]]; then
    say user 'none is made below a root folder'
  elif getent passwd "$NAME" >/dev/null; then
    say user "$NAME is there"
  else
    act useradd --system --user-group --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin "$NAME"
    say user "$NAME"
  fi
}

sources() { # NUL-separated, relative to the checkout
  find . \( -name '.?*' -o -name __pycache__ -o -name '*.egg-info' -o -path ./build -o -path ./dist \
    -o -path ./tests -o -path ./bench -o -path ./permit-gate/build -o -path ./permit-gate/tests \) -prune \
    -o -type f -print0 | LC_ALL=C sort -z
}

release_name() {
  local digest interpreter
  interpreter=$("$python" -c 'import sys; print("py%d.%d" % sys.version_info[:2])')
  if [[ $wheel ]]; then
    digest=$(cat "$wheel" "$gate_wheel" "$SOURCE/constraints.txt" | sha256sum)
  else
    digest=$(cd "$SOURCE" && sources | xargs -0 sha256sum | sha256sum)
  fi
  echo "$(version)-$interpreter-${digest:0:12}"
}

# What pip says where it gets no answer: of a host, a proxy or a certificate.
readonly UNREACHED='NewConnectionError|NameResolutionError|(Connect|Read)TimeoutError|ProxyError|SSLError|ConnectionReset'

pip_install() { # folder, what
  local pip=("$1/bin/python" -m pip --quiet --disable-pip-version-check) said index
  said=$("${pip[@]}" install -c "$SOURCE/constraints.txt" "${@:2}" 2>&1) && return
  [[ $said =~ $UNREACHED ]] || fail "pip: $said"
  index=${PIP_INDEX_URL:-$("${pip[@]}" config get global.index-url 2>/dev/null || echo https://pypi.org/simple)}
  # Without a password that it may have.
  fail "the package index ${index/\/\/*@/\/\/} cannot be reached: let this host reach it, or name\
 another with PIP_INDEX_URL, or a proxy with HTTPS_PROXY"
}

build_release() { # folder
  local what=("$wheel" "$gate_wheel") copy
  rm -rf "$1"
  mkdir -p "$1"
  "$python" -m venv "$1"
  if [[ -z $wheel ]]; then
    # Built from a copy: a build leaves folders behind where it runs.
    copy=$(mktemp -d)
    # shellcheck disable=SC2064  # the folder of now
    trap "rm -rf '$copy'" EXIT
    (cd "$SOURCE" && sources | tar -c --null -T -) | tar -x -C "$copy"
    pip_install "$1" setuptools
    what=(--no-build-isolation "$copy/permit-gate" "$copy")
  fi
  pip_install "$1" "${what[@]}"
  mkdir "$1/doc" "$1/deploy"
  cp "$SOURCE"/docs/*.md "$SOURCE/deploy/$NAME.env" "$1/doc/"
  cp "$SOURCE/deploy/$UNIT" "$SOURCE/deploy/$TEMPLATE" "$SOURCE/deploy/$NAME" "$SOURCE/deploy/accounts.sh" "$1/deploy/"
  "$1/bin/$NAME" --help >/dev/null
  touch "$1/.complete"
}

# Points a name at a release without a moment at which it points nowhere.
point() { # name release
  ln -s "releases/$2" "$opt/$1.new"
  mv -T "$opt/$1.new" "$opt/$1"
}

current() { readlink "$opt/$1" 2>/dev/null | sed 's,^releases/,,'; }

install_release() {
  local release old
  release=$(release_name)
  old=$(current venv || true)
  if [[ $old == "$release" && -f $opt/releases/$release/.complete ]]; then
    say release "$release is installed"
    return
  fi
  changed=yes
  if [[ $dry ]]; then
    say 'would build' "$opt/releases/$release with $python"
    return
  fi
  if [[ ! -f $opt/releases/$release/.complete ]]; then
    say building "$opt/releases/$release with $python"
    build_release "$opt/releases/$release"
  fi
  point venv "$release"
  [[ -z $old ]] || point previous "$old"
  find "$opt/releases" -mindepth 1 -maxdepth 1 ! -name "$release" ! -name "${old:-$release}" -exec rm -rf {} +
  say release "$release${old:+, before it $old}"
}

names_in() { sed -nE 's/^#?([A-Z][A-Z0-9_]*)=.*/\1/p' "$1" | LC_ALL=C sort -u; }

# The port behind the highest of all accounts, installed or not.
next_port() {
  local highest
  highest=$(cat "$etc/$NAME.env" "$etc"/accounts/*/"$NAME.env" 2>/dev/null |
    sed -nE "s/^P33_METRICS_PORT=[\"']?([0-9]+).*/\1/p" | sort -n | tail -n 1)
  echo $((${highest:-0} > 8045 ? highest + 1 : 8046))
}

new_settings() {
  if [[ $account ]]; then
    sed -e "s,/etc/quantum/$NAME.env,/etc/quantum/accounts/$account/$NAME.env," \
      -e "s/^#P33_KEY_PREFIX=.*/P33_KEY_PREFIX=$account/" \
      -e "s/^#P33_METRICS_PORT=.*/P33_METRICS_PORT=$(next_port)/" "$SOURCE/deploy/$NAME.env"
  else
    cat "$SOURCE/deploy/$NAME.env"
  fi
}

keep_settings() {
  local new
  if [[ ! -f $env_file ]]; then
    put "$env_file" 600 < <(new_settings)
    return
  fi
  say kept "$env_file"
  new=$(LC_ALL=C comm -23 <(names_in "$SOURCE/deploy/$NAME.env") <(names_in "$env_file") | paste -sd' ')
  [[ -z $new ]] || say 'new there' "settings that your file does not name, with their defaults: $new"
}

drop_in_text() {
  local name folder=/etc/quantum/${account:+accounts/$account/}credentials
  echo "# Written by install.sh: one credential for each file in $folder."
  echo '[Service]'
  for name in "${SECRETS[@]}"; do
    if [[ -f $credentials/$name ]]; then
      echo "LoadCredential=$name:$folder/$name"
      echo "Environment=${name}_FILE=%d/$name"
    fi
  done
}

write_drop_in() {
  put "$drop_in" 644 < <(drop_in_text)
}

install_files() { # folder with units and command
  local before=$changed
  changed=''
  if [[ $own && -z $account ]] || has_single; then
    put "$units/$UNIT" 644 <"$1/$UNIT"
  fi
  if [[ $account || $(accounts) ]]; then
    put "$units/$TEMPLATE" 644 <"$1/$TEMPLATE"
  fi
  put "$command" 755 <"$1/$NAME"
  replaced=$replaced$changed changed=$before$changed
  [[ $own ]] || return 0
  [[ -d $credentials ]] || act mkdir -p -m 700 "$credentials"
  write_drop_in
  if [[ $account && ! -L $command@$account ]]; then
    act ln -s "$NAME" "$command@$account"
    say wrote "$command@$account"
  fi
}

verify_unit() {
  local said
  if [[ $dry ]]; then
    say 'would verify' "$units/$unit"
  elif ! command -v systemd-analyze >/dev/null; then
    say 'not verified' "$units/$unit: there is no systemd-analyze here"
  elif [[ $root && ! -e $root/usr/lib/systemd/system/sysinit.target ]]; then
    say 'not verified' "$units/$unit: there is no systemd below $root to verify it with"
  else
    said=$(systemd-analyze --man=no ${root:+--root="$root"} verify "$unit" 2>&1) || true
    [[ -z $said ]] || fail "systemd-analyze verify: $said"
    say verified "$units/$unit"
  fi
}

is_given() { # name
  [[ -f $credentials/$1 ]] || grep -qsE "^$1(_FILE)?=." "$env_file"
}

# Without its secret a key is a setting that is not allowed.
has_keys() {
  local pair
  for pair in BINANCE_API BINANCE_TESTNET_API; do
    ! is_given "${pair}_KEY" || ! is_given "${pair}_SECRET" || return 0
  done
  return 1
}

# Nothing is started that would share keys or a port with another account.
refuse_clashes() {
  local said
  [[ -z $dry && $(accounts) ]] || return 0
  said=$("$SOURCE/deploy/accounts.sh" ${root:+--root "$root"} ${account:+"$account"} 2>&1 >/dev/null) ||
    fail "nothing was started: $said" 78
}

start() {
  refuse_clashes
  if ! on_this_host; then
    [[ $root ]] || say 'not started' 'systemd does not run here'
    return
  fi
  act systemctl daemon-reload
  [[ $enable ]] || return 0
  [[ -z $own ]] || start_own
  [[ -z $replaced ]] || restart_others
}

start_own() {
  act systemctl enable --quiet "$unit"
  if ! has_keys; then
    say 'not started' 'there is no API key with its secret yet'
  elif [[ $changed ]] || ! systemctl is-active --quiet "$unit"; then
    act systemctl reset-failed "$unit" || true
    act systemctl restart "$unit"
    say started "$unit"
  else
    say running "$unit; nothing changed, so it was left alone"
  fi
}

# One after the other: the first that does not start leaves those behind it alone.
restart_others() {
  local other
  while read -r other; do
    if [[ $other != "$unit" || -z $own ]] && systemctl is-active --quiet "$other"; then
      act systemctl restart "$other" ||
        fail "$other does not start; those behind it were left alone. Back to the release before: --rollback"
      say started "$other"
    fi
  done < <(echo "$UNIT" && accounts | while read -r other; do unit_of "$other"; done)
}

next_steps() {
  local port=8045 installer=$SOURCE/deploy/install.sh${root:+ --root $root}${account:+ --account $account}
  [[ ! $account || ! -f $env_file ]] || port=$(sed -nE 's/^P33_METRICS_PORT=//p' "$env_file" | tail -n 1)
  echo
  has_keys || cat <<TEXT
Next: give it its API key (of demo.binance.com, unless BINANCE_TESTNET=false stands in the settings):
  $installer --set-secret BINANCE_API_KEY
  $installer --set-secret BINANCE_API_SECRET
TEXT
  cat <<TEXT
Settings:  $env_file, then systemctl restart $unit
Look:      curl -s http://127.0.0.1:$port/readyz; journalctl -u $unit -f
Guide:     $opt/venv/doc/operations.md
TEXT
  if [[ $account && -z $dry ]]; then
    list_accounts | grep '^The shares add up' || true
  fi
}

install() {
  choose_python
  make_user
  install_release
  replaced=$changed
  keep_settings
  install_files "$SOURCE/deploy"
  verify_unit
  start
  next_steps
}

set_secret() {
  local value
  [[ " ${SECRETS[*]} " == *" $secret "* ]] || fail "$secret is none of: ${SECRETS[*]}" 2
  is_installed || [[ $dry ]] || fail 'install it first'
  if [[ -t 0 ]]; then
    read -rsp "$secret: " value
    echo
  else
    # All of it: a private key in PEM has many lines.
    value=$(cat)
  fi
  if [[ $value ]]; then
    act mkdir -p -m 700 "$credentials"
    put "$credentials/$secret" 600 < <(printf '%s\n' "$value")
  elif [[ -f $credentials/$secret ]]; then
    changed=yes
    act rm "$credentials/$secret"
    say removed "$credentials/$secret"
  fi
  write_drop_in
  start
}

rollback() {
  local old new
  new=$(current previous || true) old=$(current venv || true)
  [[ $new && -f $opt/releases/$new/.complete ]] || fail 'there is no release to go back to'
  if [[ $(accounts) ]]; then
    [[ -f $opt/releases/$new/deploy/$TEMPLATE ]] || fail "$new knows no accounts: take them away first"
    has_single || own=''
  fi
  act point venv "$new"
  act point previous "$old"
  # A release that was built before 0.2.0 has no unit in it: the newer one stays.
  [[ ! -d $opt/releases/$new/deploy ]] || install_files "$opt/releases/$new/deploy"
  changed=yes replaced=yes
  say release "$new, before it $old"
  start
}

remove() {
  if [[ -e $1 || -L $1 ]]; then
    act rm -rf "$1"
    say removed "$1"
  fi
}

others() { # that are installed beside this one
  if [[ $account ]] && has_single; then
    echo '(the one without an account)'
  fi
  accounts | grep -vx "$account" || true
}

uninstall() {
  local path left
  if on_this_host && is_installed; then
    act systemctl disable --now --quiet "$unit"
    # systemd would go on listing a unit that has failed, without its file.
    act systemctl reset-failed "$unit" || true
  fi
  if [[ $account ]]; then
    remove "$command@$account"
  else
    remove "$units/$UNIT"
  fi
  remove "$units/$unit.d"
  left=$(others)
  if [[ -z $left ]]; then
    for path in "$units/$TEMPLATE" "$command" "$opt"; do
      remove "$path"
    done
  else
    say kept "command and release, of: $(paste -sd' ' <<<"$left")"
  fi
  if on_this_host; then
    act systemctl daemon-reload
  fi
  if [[ $purge ]]; then
    purge_settings "$left"
  else
    say kept "$env_file and $credentials (--purge takes them, too)"
  fi
  echo 'What it wrote to Redis is still there: ledgers and decisions belong to the account, not to this host.'
}

purge_settings() { # who is left
  local path
  if [[ $account ]]; then
    remove "$home"
  else
    for path in "$env_file" "${env_file%.env}-operator.env" "$credentials"; do
      remove "$path"
    done
  fi
  if [[ -z $1 && -z $root ]] && getent passwd "$NAME" >/dev/null; then
    act userdel "$NAME"
    say removed "user $NAME"
  fi
}

list_accounts() { "$SOURCE/deploy/accounts.sh" ${root:+--root "$root"}; }

parse "$@"
"$action"

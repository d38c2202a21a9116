#!/bin/sh
# Make the virtual environment VENV with the interpreter PYTHON where it is missing, and install this project
# with EXTRAS into it: `set_up.sh VENV PYTHON EXTRAS`. What is lacking is said first, in one sentence.
set -eu
venv=$1 python=$2 extras=$3

stop() {
  echo "$*" >&2
  exit 1
}

# Standard output and error of pip are shown when it fails, and not for want of an index.
install() {
  if problems=$("$venv/bin/python" -m pip install -q --disable-pip-version-check -c constraints.txt "$@" 2>&1); then
    return
  fi
  case $problems in
    *"No space left on device"*) stop "No space is left for $venv" ;;
    *"connection broken by"* | *ConnectionError* | *"Could not fetch URL"*)
      stop "The package index cannot be reached; HTTPS_PROXY sets a proxy, PIP_INDEX_URL a mirror"
      ;;
    *) stop "$problems" ;;
  esac
}

has_pip() {
  "$venv/bin/python" -m pip --version >/dev/null 2>&1
}

if ! has_pip; then
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) \
    || stop "Python 3.11 to 3.14 is needed, and $python does not run; PYTHON=/path/to/python3.12 sets another"
  case $version in
    3.11 | 3.12 | 3.13 | 3.14) ;;
    *) stop "Python 3.11 to 3.14 is needed, and $python is $version; PYTHON=/path/to/python3.12 sets another" ;;
  esac
  "$python" -c 'import ensurepip, venv' 2>/dev/null \
    || stop "$python lacks the module venv; Debian has it in the package python$version-venv"
  mkdir -p "$venv" 2>/dev/null || stop "$venv cannot be made; is this directory read-only?"
  [ -w "$venv" ] || stop "$venv cannot be written; is it read-only?"
  rm -f "$venv/.installed"
fi
if [ -e "$venv/.installed" ]; then
  echo "Bringing $venv up to date: some seconds"
else
  echo "Setting up $venv with $python: a minute or more, and 300 MB, most of it from the package index"
fi
has_pip || "$python" -m venv --clear "$venv" || stop "$venv could not be made"

# The build tools come first and from the same constraints, so that nothing unpinned is used to build either.
# They also show that there is an index, before anything else is installed.
install --retries 1 setuptools
install --no-build-isolation -e ./permit-gate -e ".[$extras]"

#!/usr/bin/env bash
# Makes a virtual environment with uv in it: venv.sh FOLDER PINS
# PINS is a requirements file with hashes that names uv.
# PYTHON names an interpreter; by default the first one found that is 3.11 or newer.
set -euo pipefail
venv=${1:?usage: venv.sh FOLDER PINS}
pins=${2:?usage: venv.sh FOLDER PINS}

recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

python=${PYTHON:-}
if [ -z "$python" ]; then
  for name in python3.11 python3 python3.12 python3.13; do
    if recent "$name"; then
      python=$name
      break
    fi
  done
fi
if [ -z "$python" ] || ! recent "$python"; then
  echo "setup: no Python 3.11 or newer found${PYTHON:+ under PYTHON=$PYTHON}." >&2
  echo "Install one (Debian 12: apt-get install python3) or name it: make setup PYTHON=/path/to/python3.11" >&2
  exit 1
fi

make_venv() { "$python" -m venv "$venv" 2>&1; }

if ! message=$(make_venv); then
  # Debian ships the venv module without ensurepip; both come with a package of their own.
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  packages="python3-venv python$version-venv"
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "setup: $python cannot make a virtual environment; installing $packages through apt"
    apt-get update -q >/dev/null
    for package in $packages; do
      DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$package" >/dev/null || true
    done
    rm -rf "$venv"
    message=$(make_venv) || { echo "$message" >&2; exit 1; }
  else
    echo "$message" >&2
    echo "setup: install the missing module first (Debian, as root: apt-get install $packages), then run make again" >&2
    exit 1
  fi
fi

"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$pins"

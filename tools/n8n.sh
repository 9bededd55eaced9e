#!/usr/bin/env bash
# Installs the n8n that `make test-n8n` drives: n8n.sh [FOLDER], default .n8n beside the checkout's files.
# A second call finds it there. Takes about 3 minutes and 2 GB; needs Node 20 and npm.
set -euo pipefail
folder=${1:-.n8n}
# The newest release that runs on Node 20 (n8n 2.10 and later want Node 22).
version=1.123.81

stamp=$folder/.installed-$version
[ -e "$stamp" ] && exit 0

fail() {
  echo "n8n: $1" >&2
  exit 1
}

command -v node >/dev/null || fail "no Node on this machine; install Node 20 (Debian: apt-get install nodejs npm)"
command -v npm >/dev/null || fail "no npm on this machine (Debian: apt-get install npm)"
major=$(node -p 'process.versions.node.split(".")[0]')
[ "$major" -ge 20 ] && [ "$major" -le 24 ] || fail "n8n $version wants Node 20 to 24, this is $(node --version)"

echo "n8n: installing n8n $version into $folder (about 3 minutes, 2 GB)"
mkdir -p "$folder"
# n8n takes the package xlsx from a host of its maker; the registry's last release of it serves here.
cat >"$folder/package.json" <<JSON
{"name": "n8n-for-tests", "private": true, "dependencies": {"n8n": "$version"}, "overrides": {"xlsx": "0.18.5"}}
JSON
cd "$folder"
log=$PWD/install.log
# Without scripts nothing is compiled; of the compiled packages n8n needs SQLite's alone for these tests.
if ! { npm install --ignore-scripts --no-audit --no-fund && npm rebuild sqlite3; } >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  fail "the installation failed; the whole log is $log"
fi
touch ".installed-$version"

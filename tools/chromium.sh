#!/usr/bin/env bash
# The browser tests drive Debian's Chromium. Installs it where that is possible; elsewhere those tests skip.
set -u
command -v chromium >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo "test: installing Chromium through apt"
  apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends chromium >/dev/null && exit 0
  echo "test: apt could not install Chromium; the browser tests are skipped"
else
  echo "test: no chromium on this machine and no rights to install it (Debian, as root: apt-get install chromium);"
  echo "      the browser tests are skipped"
fi
exit 0

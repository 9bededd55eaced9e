#!/usr/bin/env bash
# The tests of PVM_EXECUTOR=docker start an engine of their own that speaks Docker's API. Installs Debian's podman and
# runc where that is possible; elsewhere those tests skip. Nothing of a container engine that is there is touched.
set -u
PATH=$PATH:/usr/sbin:/sbin
wanted=()
for name in podman runc; do command -v "$name" >/dev/null || wanted+=("$name"); done
[ ${#wanted[@]} = 0 ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "test: no ${wanted[*]} on this machine and no rights to install them (Debian, as root: apt-get install ${wanted[*]});"
  echo "      the tests that start containers are skipped"
  exit 0
fi
echo "test: installing ${wanted[*]} through apt"
apt-get update -q >/dev/null
if ! DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${wanted[@]}" >/dev/null; then
  echo "test: apt could not install ${wanted[*]}; the tests that start containers are skipped"
fi
exit 0

#!/usr/bin/env bash
# The tests of the event bus and of streams start a RabbitMQ, a Redis and a NATS of their own; those of the alerts ask
# Prometheus and its promtool. Installs Debian's packages where that is possible; elsewhere those tests skip. The
# services that the packages start by themselves are kept off.
set -u
PATH=$PATH:/usr/sbin:/sbin
wanted=()
for name in rabbitmq-server redis-server nats-server prometheus; do command -v "$name" >/dev/null || wanted+=("$name"); done
[ ${#wanted[@]} = 0 ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "test: no ${wanted[*]} on this machine and no rights to install them (Debian, as root: apt-get install ${wanted[*]});"
  echo "      the tests that start them are skipped"
  exit 0
fi
echo "test: installing ${wanted[*]} through apt"
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  # Debian asks this file before it starts a service; it is here for the length of the installation only.
  printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi
apt-get update -q >/dev/null
# One by one: what one of them lacks costs the others nothing.
for name in "${wanted[@]}"; do
  if ! DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$name" >/dev/null; then
    echo "test: apt could not install $name; the tests that start it are skipped"
  elif [ -d /run/systemd/system ]; then
    systemctl disable --now "$name" >/dev/null 2>&1
  else
    update-rc.d "$name" disable >/dev/null 2>&1
  fi
done
exit 0

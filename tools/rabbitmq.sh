#!/usr/bin/env bash
# The tests of the event bus start a RabbitMQ of their own. Installs Debian's package where that is possible;
# elsewhere those tests skip. The service that the package starts by itself is kept off.
set -u
PATH=$PATH:/usr/sbin:/sbin
command -v rabbitmq-server >/dev/null && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "test: no RabbitMQ on this machine and no rights to install it (Debian, as root: apt-get install rabbitmq-server);"
  echo "      the tests of the event bus are skipped"
  exit 0
fi
echo "test: installing RabbitMQ through apt"
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  # Debian asks this file before it starts a service; it is here for the length of the installation only.
  printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi
if apt-get update -q >/dev/null && DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -q --no-install-recommends rabbitmq-server >/dev/null; then
  if [ -d /run/systemd/system ]; then
    systemctl disable --now rabbitmq-server >/dev/null 2>&1
  else
    update-rc.d rabbitmq-server disable >/dev/null 2>&1
  fi
  exit 0
fi
echo "test: apt could not install RabbitMQ; the tests of the event bus are skipped"
exit 0

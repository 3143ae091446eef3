#!/bin/sh
# Writes the classes of the gateway's client.proto anew, or below the folder that is named.
set -eu
cd "$(dirname "$0")/../.."
source=services/gateway/src
output=${1:-$source}
exec .venv/bin/python -m grpc_tools.protoc --proto_path="$source" --python_out="$output" --pyi_out="$output" \
  "$source/warren_gateway/domain/protobuf/client.proto"

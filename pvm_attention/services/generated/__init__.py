"""Messages, generated from proto/*.proto by tools/proto.sh."""

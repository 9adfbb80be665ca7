#!/bin/bash
# Serves the quickstart: `make run`, or
#
#   deploy/quickstart/serve.sh .build/release/grapnel data
#
# Makes a working copy of the manifests in DATA/quickstart, with a secret of its own, and starts the server in the
# foreground. The secret is made once; remove DATA to begin anew.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
grapnel=$(realpath "${1:-$root/.build/release/grapnel}")
data=${2:-$root/data}
listen=${GRAPNEL_QUICKSTART_LISTEN:-127.0.0.1:9292}
admin=${GRAPNEL_QUICKSTART_ADMIN:-127.0.0.1:9293}

umask 077
mkdir -p "$data/quickstart/manifests" "$data/journal"
data=$(realpath "$data")
token=$data/quickstart/token
actions=$data/quickstart/actions.txt
if [ ! -s "$token" ]; then
    # 32 random bytes in hexadecimal, without a newline: the file holds exactly the secret.
    od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n' >"$token"
fi
touch "$actions"

cp "$here/action.sh" "$data/quickstart/action.sh"
sed "s|@TOKEN@|$(cat "$token")|" "$here/secret.yaml.in" >"$data/quickstart/manifests/secret.yaml"
sed "s|@COMMAND@|$data/quickstart/action.sh|" "$here/hook.yaml.in" >"$data/quickstart/manifests/hook.yaml"

shown() { case $1 in "$PWD"/*) echo "${1#"$PWD"/}" ;; *) echo "$1" ;; esac; }
cat <<TEXT

  Grapnel serves http://$listen/hooks/quickstart/webapp. In another terminal:

    # a signed push; the answer is 200 with Grapnel-Decision: accepted, and two actions run
    $(shown "$grapnel") send --type github --secret-file $(shown "$token") --url http://$listen/hooks/quickstart/webapp

    # what the actions did
    tail $(shown "$actions")

    # the figures
    curl -s http://$admin/metrics | grep -v '^#'

  deploy/quickstart/README.md shows the same with curl and openssl alone. Control-C ends the server.

TEXT
exec "$grapnel" serve --manifests "$data/quickstart/manifests" --data-dir "$data/journal" \
    --listen "$listen" --admin-listen "$admin" --allow-exec

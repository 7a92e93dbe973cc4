#!/bin/sh
# Prints a directory for an example's files, made if need be: /tmp/rota-examples-USER/NAME, or below
# $ROTA_EXAMPLES_DIR. Others can neither read it nor have put it there.
set -eu
base=${ROTA_EXAMPLES_DIR:-/tmp/rota-examples-$(id -un)}
umask 077
mkdir -p "$base"
if [ -L "$base" ] || [ ! -O "$base" ]; then
    echo "$base belongs to somebody else: remove it, or set ROTA_EXAMPLES_DIR to another directory" >&2
    exit 1
fi
mkdir -p "$base/$1"
echo "$base/$1"

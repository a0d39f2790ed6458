#!/usr/bin/env bash
# Exits 0 if the admin endpoint of this container's worker says that it is alive. Bash alone, so that the image needs no
# HTTP client. ADMIN_PORT, if the worker listens somewhere else than on 9644.
set -euo pipefail

exec 3<>"/dev/tcp/127.0.0.1/${ADMIN_PORT:-9644}"
printf 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3
IFS= read -r -t 2 status <&3
[[ $status == 'HTTP/1.1 200'* ]]

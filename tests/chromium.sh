#!/bin/sh
# The browser tests need Chromium; on Debian and Ubuntu it comes from the system's packages.
set -eu
for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null 2>&1; then exit 0; fi
done
if command -v apt-get >/dev/null 2>&1; then
    run=""
    if [ "$(id -u)" -ne 0 ]; then run="sudo"; fi
    $run apt-get update -qq
    DEBIAN_FRONTEND=noninteractive $run apt-get install -y -qq --no-install-recommends chromium >/dev/null
else
    echo "no Chromium found: install it with your system's package manager; the browser tests are skipped without" >&2
fi

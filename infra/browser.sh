#!/usr/bin/env bash
# Puts Debian's Chromium at /usr/bin/chromium for the browser journey test. Never fails: without it that test skips and says so.
set -uo pipefail

if [ -x /usr/bin/chromium ]; then
  echo "browser: $(/usr/bin/chromium --version 2>/dev/null || echo /usr/bin/chromium)"
  exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
  echo "browser: no apt-get here; put a Chromium at /usr/bin/chromium to run the browser journey, which skips otherwise" >&2
  exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "browser: not root; 'sudo infra/browser.sh' installs Chromium for the browser journey, which skips otherwise" >&2
  exit 0
fi

export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
if timeout 300 bash -c 'apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium' >"$log" 2>&1; then
  echo "browser: installed $(/usr/bin/chromium --version 2>/dev/null)"
else
  echo "browser: apt-get could not install chromium; the browser journey skips. Its last lines:" >&2
  tail -n 5 "$log" >&2
fi
rm -f "$log"
exit 0

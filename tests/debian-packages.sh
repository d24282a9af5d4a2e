#!/bin/sh
# Install what of a list of Debian packages is missing: `sh debian-packages.sh LIST` (- is standard input).
# Root installs, and a failure is a failure. Anybody else is told what is missing and exits 0: the tests
# that need it skip, and say so. Daemons that a package brings are not started.
set -eu

missing=
for package in $(sed 's/#.*//' "$1"); do
    dpkg-query -W -f='${db:Status-Status}\n' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "*** This is not Debian. Missing:$missing. The tests that need them will be skipped." >&2
    exit 0
fi
if [ "$(id -u)" != 0 ]; then
    echo "*** Not root, so these Debian packages stay missing:$missing" >&2
    echo "*** The tests that need them will be skipped. Mend it with: sudo apt-get install$missing" >&2
    exit 0
fi

policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
echo "Installing Debian packages:$missing"
export DEBIAN_FRONTEND=noninteractive
if ! { apt-get -qq update && apt-get -qq install -y --no-install-recommends $missing >/dev/null; }; then
    echo "*** apt-get could not install:$missing. Without them: make test DEBS=no" >&2
    exit 1
fi

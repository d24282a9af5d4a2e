#!/bin/sh
# What `make install` does after building: PYTHON's packages and the service into DESTDIR.
#
# PYTHON has built the wheel and gets everything that it needs into one directory of its own, so nothing of the
# system's Python is changed and nothing but these files has to be removed again.
set -eu

python=$1 wheel=$2 destdir=${DESTDIR:-}
here=$(dirname "$0")
lib=/usr/lib/portcullis
real=$("$python" -c 'import sys; print(sys._base_executable)')

rm -rf "$destdir$lib"
install -d "$destdir$lib" "$destdir/usr/sbin"
"$python" -m pip --quiet --disable-pip-version-check --no-cache-dir install --target "$destdir$lib" \
    --no-compile --no-deps -r "$here/../requirements.lock" "$wheel"
rm -rf "$destdir$lib/bin"
"$python" -m compileall -q --invalidation-mode unchecked-hash -s "$destdir" "$destdir$lib" >/dev/null || true

cat >"$destdir/usr/sbin/sbc" <<END
#!$real -I
import sys

sys.path.insert(0, "$lib")
from sbc.cli import main

sys.exit(main())
END
chmod 755 "$destdir/usr/sbin/sbc"

put() { # MODE FILE PLACE; what an operator may have changed is kept, beside the new one
    install -d "$destdir$(dirname "$3")"
    if [ -e "$destdir$3" ] && ! cmp -s "$here/$2" "$destdir$3"; then
        install -m "$1" "$here/$2" "$destdir$3.new"
        echo "$3 is kept as it is; the new one is $3.new"
    else
        install -m "$1" "$here/$2" "$destdir$3"
    fi
}
put 755 portcullis.init /etc/init.d/portcullis
put 644 portcullis.default /etc/default/portcullis
put 644 portcullis.logrotate /etc/logrotate.d/portcullis
put 644 fail2ban/portcullis.filter /etc/fail2ban/filter.d/portcullis.conf
install -D -m 644 "$here/portcullis.service" "$destdir/lib/systemd/system/portcullis.service"
install -D -m 644 "$here/fail2ban/portcullis.jail" "$destdir/usr/share/doc/portcullis/examples/fail2ban-jail.conf"

[ -n "$destdir" ] && exit 0
sh "$here/prepare.sh"
# By a shell, for setpriv still has root's rights where it executes the program itself.
if ! setpriv --reuid portcullis --regid portcullis --init-groups --bounding-set=-all -- \
    /bin/sh -c '/usr/sbin/sbc --version' >/dev/null 2>&1; then
    echo >&2 "The user portcullis cannot run $real."
    echo >&2 'Build with one for all users: make clean, then make install PYTHON=/usr/bin/python3'
    exit 1
fi
echo 'Installed. Write /etc/portcullis/sbc.yaml (docs/install.md), then: service portcullis start'

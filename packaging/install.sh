#!/bin/sh
# What `make install` does after building: PYTHON's packages, the service and its manual into DESTDIR; and all that
# is in the Debian package (packaging/deb/build.sh), whose INTERPRETER is not the one that builds it.
#
# PYTHON has built the wheel and gets everything that it needs into one directory of its own, so nothing of the
# system's Python is changed and nothing but these files has to be removed again.
set -eu

python=$1 wheel=$2 destdir=${DESTDIR:-}
here=$(dirname "$0")
lib=/usr/lib/portcullis
docs=/usr/share/doc/portcullis
real=${INTERPRETER:-$("$python" -c 'import sys; print(sys._base_executable)')}

if [ -z "$destdir" ]; then
    sh "$here/prepare.sh"
    # By a shell, for setpriv still has root's rights where it executes the program itself.
    if ! setpriv --reuid portcullis --regid portcullis --init-groups --bounding-set=-all -- \
        /bin/sh -c "'$real' -I -c ''" >/dev/null 2>&1; then
        echo >&2 "The user portcullis cannot run $real; nothing was installed."
        echo >&2 'Build with one for all users: make clean, then make install PYTHON=/usr/bin/python3'
        exit 1
    fi
fi

rm -rf "$destdir$lib"
install -d "$destdir$lib" "$destdir/usr/sbin"
"$python" -m pip --quiet --disable-pip-version-check --no-cache-dir install --target "$destdir$lib" \
    --no-compile --no-deps -r "$here/../requirements.lock" "$wheel"
rm -rf "$destdir$lib/bin"
[ -n "${INTERPRETER:-}" ] || "$python" -m compileall -q --invalidation-mode unchecked-hash -s "$destdir" "$destdir$lib" >/dev/null || true

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
install -D -m 644 "$here/fail2ban/portcullis.jail" "$destdir$docs/examples/fail2ban-jail.conf"
install -m 644 "$here/prometheus/portcullis.rules.yml" "$destdir$docs/examples/portcullis.rules.yml"
install -m 644 "$here/grafana/portcullis.json" "$destdir$docs/examples/grafana-portcullis.json"

# What the manual and the completion say is what this very program says.
printed() { # MODULE [ARGUMENT...]
    module=$1
    shift
    PYTHONPATH="$destdir$lib" PYTHONDONTWRITEBYTECODE=1 "$python" -P -m "sbc.commands.printed.$module" "$@"
}
install -d "$destdir$docs/docs" "$destdir/usr/share/bash-completion/completions"
install -m 644 "$here"/../docs/*.md "$destdir$docs/docs"
printed manual "$here/../docs" "$destdir/usr/share/man"
gzip -9nf "$destdir/usr/share/man/man8/sbc.8" "$destdir/usr/share/man/man5/sbc.yaml.5" \
    "$destdir/usr/share/man/man5/routes.d.5"
printed completion >"$destdir/usr/share/bash-completion/completions/sbc"

[ -n "$destdir" ] || echo 'Installed. Write /etc/portcullis/sbc.yaml (docs/install.md), then: service portcullis start'

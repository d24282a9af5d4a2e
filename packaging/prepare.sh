#!/bin/sh
# The user of the service and its directories, made where they are missing.
set -eu

if ! getent passwd portcullis >/dev/null; then
    useradd --system --user-group --no-create-home --home-dir /var/lib/portcullis \
        --shell /usr/sbin/nologin portcullis
fi
install -d -o root -g portcullis -m 750 /etc/portcullis /etc/portcullis/trunks.d /etc/portcullis/routes.d \
    /etc/portcullis/hooks
# Certificates and keys: ACME and `sbc certs` write there.
install -d -o portcullis -g portcullis -m 750 /etc/portcullis/tls
install -d -o portcullis -g portcullis -m 750 /var/lib/portcullis
install -d -o portcullis -g adm -m 2750 /var/log/portcullis

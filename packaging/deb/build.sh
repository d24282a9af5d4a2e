#!/bin/sh
# What `make deb` does after building: PYTHON's packages and the service as one Debian package in the directory OUT.
#
# sh packaging/deb/build.sh PYTHON WHEEL OUT; its path is printed. What is in it is what packaging/install.sh puts
# into a directory. COMPRESSION is dpkg-deb's options for it. Wheels are unpacked here, so that nothing is fetched
# or built where it is installed; therefore it is for one minor version of Debian's Python, that of PYTHON. Nothing
# in it tells when or where it was built: SOURCE_DATE_EPOCH, without it the last commit's date, is that of every
# file.
set -eu

python=$1 wheel=$2 out=$3
here=$(cd "$(dirname "$0")" && pwd)
lib=/usr/lib/portcullis
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
umask 022

for tool in dpkg-deb dpkg-shlibdeps; do
    command -v $tool >/dev/null || { echo >&2 "$tool is missing; Debian: apt-get install dpkg-dev"; exit 1; }
done
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$here" log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH

install -d "$root/DEBIAN"
DESTDIR=$root INTERPRETER=/usr/bin/python3 sh "$here/../install.sh" "$python" "$wheel"

# Written where it was installed, and different each time.
find "$root$lib" -name direct_url.json -delete -o -name RECORD -delete
# What only those need who work on these packages.
find "$root$lib" -type d \( -name __pycache__ -o -name tests \) -prune -exec rm -rf {} +
# Nothing there is run by its name.
find "$root$lib" -name '*.py' -exec sed -i '1s/^#!.*/#/' {} +
find "$root$lib" -type f -exec chmod 644 {} +
find "$root$lib" \( -name '*.so' -o -name '*.so.*' \) -exec strip --strip-unneeded {} +

facts() { # what the installed packages say of themselves
    "$python" - "$root$lib" "$1" <<'END'
import sys
from importlib.metadata import distributions

library, wanted = sys.argv[1:]
found = sorted(distributions(path=[library]), key=lambda each: each.name.lower())
if wanted == "version":
    print(next(each.version for each in found if each.name == "portcullis-sbc"))
for each in found if wanted == "licences" else ():
    told = each.metadata.get("License-Expression") or next(
        (name.split(" :: ")[-1] for name in each.metadata.get_all("Classifier", []) if "License ::" in name), ""
    )
    print(f"  {each.name} {each.version}: {told or 'see its files'}")
END
}
version=$(facts version)
minor=$("$python" -c 'import sys; print(f"{sys.version_info[0]}.{sys.version_info[1]}")')
next=$("$python" -c 'import sys; print(f"{sys.version_info[0]}.{sys.version_info[1] + 1}")')
arch=$(dpkg --print-architecture)

# The libraries of the system that compiled modules need; those that a wheel brings lie beside them.
mkdir -p "$work/debian"
printf 'Source: portcullis\n\nPackage: portcullis\nArchitecture: any\n' >"$work/debian/control"
libraries=$(cd "$work" && find root -name '*.so' -o -name '*.so.*' | sort)
places=$(cd "$work" && find root -type d -name '*.libs' | sed 's/^/-l/')
needs=$(cd "$work" && dpkg-shlibdeps -O --warnings=0 $places $libraries | sed -n 's/^shlibs:Depends=//p')

doc=$root/usr/share/doc/portcullis
gzip -9nc "$here/../../CHANGELOG.md" >"$doc/CHANGELOG.md.gz"
sed -e "s/@VERSION@/$version/" -e "s/@DATE@/$(date -R -u -d "@$SOURCE_DATE_EPOCH")/" "$here/changelog" |
    gzip -9nc >"$doc/changelog.gz"
{ cat "$here/copyright"; facts licences; } >"$doc/copyright"
install -D -m 644 "$here/lintian-overrides" "$root/usr/share/lintian/overrides/portcullis"

size=$(du -k -s --apparent-size --exclude=DEBIAN "$root" | cut -f 1)
sed -e "s/@VERSION@/$version/" -e "s/@ARCH@/$arch/" -e "s/@SIZE@/$size/" -e "s/@MINOR@/$minor/g" \
    -e "s/@NEXT@/$next/" -e "s/@NEEDS@/$needs/" "$here/control" >"$root/DEBIAN/control"
(cd "$root" && find etc -type f | sort | sed 's|^|/|') >"$root/DEBIAN/conffiles"
for script in postinst prerm postrm; do
    # The user and the directories are made by the same lines here as by `make install`.
    sed -e "/@PREPARE@/{
r $here/../prepare.sh
d
}" -e "s/@MINOR@/$minor/" "$here/$script" | sed -e '2,${/^#!/d}' >"$root/DEBIAN/$script"
    chmod 755 "$root/DEBIAN/$script"
done
(cd "$root" && find usr lib etc -type f -print0 | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"

mkdir -p "$out"
package=$out/portcullis_${version}_$arch.deb
dpkg-deb --root-owner-group ${COMPRESSION:--Zxz} --build "$root" "$package" >&2
echo "$package"

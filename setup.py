"""Packaging: ranges here, exact versions in requirements.lock. Hot modules are compiled where possible.

mypyc turns typed Python into C: the same sources, much less CPU a call. It is optional: without mypyc, a C
compiler or Python's headers, with PORTCULLIS_PURE set, or when compiling fails, what is installed is pure
Python, and one line says so and why. All or nothing: a half-compiled tree is never left. PORTCULLIS_BUILD is
where everything is built, never the checkout; where it is kept, the next build is quicker.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from glob import glob
from io import StringIO
from pathlib import Path
from typing import Any

from setuptools import Distribution, find_packages, setup
from setuptools.command.build import build
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

# What runs for each message, decision or packet; in the rest nothing would be noticed. Not dsl/decision.py:
# hooks make decisions, of any types, and dsl/validate.py tells them what is wrong with one.
COMPILED = (
    "dsl/addresses.py",
    "dsl/arrival.py",
    "dsl/asserted.py",
    "dsl/clock.py",
    "dsl/compile.py",
    "dsl/draft.py",
    "dsl/errors.py",
    "dsl/facts.py",
    "dsl/functions.py",
    "dsl/index.py",
    "dsl/numbers.py",
    "dsl/outcome.py",
    "dsl/patterns.py",
    "dsl/question.py",
    "dsl/ruleset.py",
    "sbc/base.py",
    "sbc/flow.py",
    "sbc/histogram.py",
    "sbc/ids.py",
    "sbc/observe/recorder.py",
    "sbc/b2bua/*.py",
    "sbc/media/*.py",
    "sbc/net/transport/channel.py",
    "sbc/net/system/clock.py",
    "sbc/net/system/turn.py",
    "sbc/net/tls/end.py",
    "sbc/net/tls/session.py",
    "sbc/net/transport/connection.py",
    "sbc/net/driver.py",
    "sbc/net/media/*.py",
    "sbc/observe/call_metrics.py",
    "sbc/observe/cdr.py",
    "sbc/observe/families.py",
    "sbc/observe/faults.py",
    "sbc/observe/journal.py",
    "sbc/observe/metrics.py",
    "sbc/observe/qualities.py",
    "sbc/observe/tap.py",
    "sbc/observe/text.py",
    "sbc/observe/trace/view.py",
    "sbc/observe/trace/frames.py",
    "sbc/observe/trace/masking.py",
    "sbc/observe/trace/telling.py",
    "sbc/policy/*.py",
    "sbc/registrar/*.py",
    "sbc/sip/*.py",
)
HERE = Path(__file__).resolve().parent
BUILD = os.path.abspath(os.environ.get("PORTCULLIS_BUILD") or tempfile.mkdtemp(prefix="portcullis-build-"))


def why_pure() -> str:
    """Why nothing can be compiled here; empty where it can."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if os.environ.get("PORTCULLIS_PURE"):
        return "PORTCULLIS_PURE is set"
    if shutil.which(compiler) is None:
        return f"there is no C compiler ({compiler}); Debian: apt-get install gcc"
    if not Path(sysconfig.get_path("include"), "Python.h").exists():
        return "Python's headers are missing; Debian: apt-get install python3-dev"
    try:
        import mypyc.build
    except ImportError:
        return "mypyc is missing: pip install mypy"
    return "" if mypyc.build else "mypyc is empty"


def say_pure(reason: str) -> None:
    """The one line for an installation without compiled modules."""
    print(f"*** Pure Python, not compiled: {reason}. A call costs about 1.4 times the CPU.", file=sys.stderr)


def modules() -> list[str]:
    """The files that are compiled, relative to here; a package's own file is empty and stays as it is."""
    found = [path for pattern in COMPILED for path in sorted(glob(pattern, root_dir=HERE))]
    return [path for path in found if not path.endswith("__init__.py")]


class Product(Distribution):
    """A wheel is of this platform where modules are compiled; which ones, the build finds out."""

    def has_ext_modules(self) -> bool:
        """Whether compiling will be tried."""
        return not why_pure()


class Build(build):
    """Lets mypyc write the C before anything is built, and only then: metadata must not wait for it."""

    def run(self) -> None:
        """Build; in pure Python where mypyc cannot."""
        shutil.rmtree(self.build_lib, ignore_errors=True)  # what no longer exists must not be packaged
        if reason := why_pure():
            say_pure(reason)
        else:
            self.distribution.ext_modules = _translate()
        super().run()


def _translate() -> list[Any]:
    from mypyc.build import mypycify

    options: dict[str, Any] = {"multi_file": True, "opt_level": "2", "debug_level": "0", "target_dir": BUILD}
    said = StringIO()
    try:
        with redirect_stdout(said):
            extensions = mypycify([*modules(), "--follow-imports=silent"], **options)
    except SystemExit:  # how mypyc fails
        print(said.getvalue(), file=sys.stderr)
        say_pure("mypyc does not take these sources")
        return []
    # All of it is one library, and only its entry is asked for by name: without a detour by the linker's
    # tables for every call and every constant a call costs an eighth less CPU.
    for extension in extensions:  # they share one list
        extension.extra_compile_args = [*extension.extra_compile_args, "-fvisibility=hidden"]
    return extensions


class Compile(build_ext):
    """Compiles on every core, and only what has changed."""

    def run(self) -> None:
        """Compile everything, or leave nothing compiled."""
        self.parallel = os.cpu_count()
        try:
            super().run()
        except (BaseError, CCompilerError, OSError) as error:
            say_pure("the C compiler failed")
            print(error, file=sys.stderr)
            self.extensions = []
            for library in Path(self.build_lib).rglob("*.so"):
                library.unlink()

    def build_extensions(self) -> None:
        """Compile the C files of one extension side by side."""
        one = self.compiler.compile
        common = [path.stat().st_mtime for path in (Path(__file__), *Path(BUILD).rglob("*.h"))]

        def compile_one(source: str, options: dict[str, Any]) -> list[str]:
            object_file = Path(*self.compiler.object_filenames([source], output_dir=options["output_dir"]))
            needed = max(Path(source).stat().st_mtime, *common)
            if object_file.exists() and object_file.stat().st_mtime > needed:
                return [str(object_file)]
            return one([source], **options)

        def compile_all(sources: list[str], **options: Any) -> list[str]:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                done = list(pool.map(lambda source: compile_one(source, options), sources))
            return [path for paths in done for path in paths]

        self.compiler.compile = compile_all
        super().build_extensions()


os.makedirs(BUILD, exist_ok=True)
setup(
    name="portcullis-sbc",
    version="0.1.0",
    description="A SIP Session Border Controller that makes the peer prove itself",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=find_packages(include=["sbc", "sbc.*", "dsl", "dsl.*", "webui", "webui.*"]),
    include_package_data=True,
    package_data={"dsl": ["*.lark"], "sbc.net.tls": ["openssl.cnf"], "webui": ["templates/*", "static/*"]},
    install_requires=[
        "gevent>=24.2",  # greenlets, the hub, pywsgi
        "pyOpenSSL>=24.3",  # TLS with memory BIOs and a verify callback
        "cryptography>=44",  # reading certificates; brings its own OpenSSL
        "certifi>=2024.2.2",  # the public roots, to know one that is filed as private
        "pylibsrtp>=1.0,<1.1",  # libsrtp: audited SRTP; bound because its C binding is called
        "pydantic>=2.6",  # every mistake of a file at once, typed
        "ruamel.yaml>=0.18",  # YAML that knows line and column, keeps comments
        "ruamel.yaml.clib>=0.2.8",  # its reader in C: ten thousand rules in seconds; pure Python without it
        "lark>=1.1.9",  # the grammar of when and then
        "google-re2>=1.1",  # an operator's pattern in linear time
        "dnspython>=2.4",  # makes and reads DNS packets: gevent's resolver has neither SRV nor NAPTR
        "flask>=3.0",  # health endpoint and status page
        "acme>=5,<6",  # ACME: accounts, nonces, orders; brings josepy and requests
        "apprise>=1.9",  # alerts by e-mail, Slack and Teams
        "inotify_simple>=1.3",  # reload when a file changes
    ],
    extras_require={
        "dev": [
            "pytest>=8",
            "aiosmtpd>=1.4",  # receives the alerts that are sent by mail
            "pytest-xdist>=3.5",  # the fast tests on every core
            "hypothesis>=6.100",  # property tests
            "jsonschema>=4.18",  # holds the schemas for editors to the files that they describe
            "mypy>=1.13",
            "ruff>=0.8",
            'pjsua2-python>=2.15; python_version < "3.13"',  # PJSIP as a real peer
        ]
    },
    entry_points={"console_scripts": ["sbc=sbc.cli:main"]},
    distclass=Product,
    cmdclass={"build": Build, "build_ext": Compile},
    options={"build": {"build_base": BUILD}, "egg_info": {"egg_base": BUILD}},
)

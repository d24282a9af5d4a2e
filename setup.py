"""Packaging: ranges here, exact versions in requirements.lock."""

from setuptools import find_packages, setup

setup(
    name="portcullis-sbc",
    version="0.1.0",
    description="A SIP Session Border Controller that makes the peer prove itself",
    license="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11",
    packages=find_packages(include=["sbc", "sbc.*", "dsl", "dsl.*", "webui", "webui.*"]),
    include_package_data=True,
    package_data={"dsl": ["*.lark"], "webui": ["templates/*", "static/*"]},
    install_requires=[
        "gevent>=24.2",  # greenlets, the hub, pywsgi
        "pyOpenSSL>=24.3",  # TLS with memory BIOs and a verify callback
        "cryptography>=44",  # reading certificates; brings its own OpenSSL
        "pylibsrtp>=1.0,<1.1",  # libsrtp: SRTP that others have audited; bound because its C binding is called
        "pydantic>=2.6",  # every mistake of a file at once, typed
        "ruamel.yaml>=0.18",  # YAML that knows line and column, keeps comments
        "lark>=1.1.9",  # the grammar of when and then
        "google-re2>=1.1",  # an operator's pattern in linear time
        "flask>=3.0",  # health endpoint and status page
        "inotify_simple>=1.3",  # reload when a file changes
    ],
    extras_require={
        "dev": [
            "pytest>=8",
            "pytest-xdist>=3.5",  # the fast tests on every core
            "hypothesis>=6.100",  # property tests
            "mypy>=1.13",
            "ruff>=0.8",
            'pjsua2-python>=2.15; python_version < "3.13"',  # PJSIP as a real peer
        ]
    },
    entry_points={"console_scripts": ["sbc=sbc.cli:main"]},
)

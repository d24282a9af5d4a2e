"""What a trunk's file has to say for its profile, because nobody else can know it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dsl.errors import Diagnostic
from sbc.config.crosscheck import TrunkFile
from sbc.config.profiles import PROFILES, missing
from sbc.tls.names import is_ip


def check_profiles(trunks: Iterable[TrunkFile]) -> Iterator[Diagnostic]:
    """Every key that a profile asks for and the file does not have."""
    for trunk in trunks:
        name = trunk.value.profile
        if name is None:
            continue
        for steps, hint in missing(PROFILES[name], trunk.document.data):
            if trunk.right(steps[0]):
                message = f"profile {name!r} needs {'.'.join(steps)}"
                yield trunk.error(("profile",), message, hint)
        domain = trunk.value.domain
        if "domain" in PROFILES[name].needs and domain is not None and is_ip(domain):
            hint = "write the name that is paired with your tenant; an address there is answered with 403"
            yield trunk.error(("domain",), f"{domain} is no name", hint)

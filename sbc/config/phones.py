"""What the registrar, its users file and the trunks of phones have to say alike."""

from __future__ import annotations

from collections.abc import Iterator

from dsl.errors import Diagnostic
from sbc.config.crosscheck import SettingsFile, TrunkFile
from sbc.config.registrar import RegistrarSettings
from sbc.config.routing_files import RoutingFiles


def check_registrar(
    settings: SettingsFile, trunks: list[TrunkFile], files: RoutingFiles
) -> Iterator[Diagnostic]:
    """Phones without a registrar, a registrar without phones, and users who can never register."""
    if ("registrar",) in settings.broken:
        return
    registrar = settings.value.registrar
    phones = [each for each in trunks if each.value.phones and each.right("phones")]
    for trunk in phones:
        if registrar is None:
            hint = "write registrar: {realm: example.com, users: FILE} in sbc.yaml"
            yield trunk.error(("phones",), "phones without a registrar", hint, key=True)
        yield from _only_phones(trunk)
    if registrar is None:
        return
    if not phones and all(each.right("phones") for each in trunks):
        hint = "write phones: true in the trunk on whose listener they register"
        yield settings.document.problem(
            ("registrar",), "no trunk has phones: nobody can register", hint, key=True, severity="warning"
        )
    yield from _users(settings, registrar, phones, files)


def _only_phones(trunk: TrunkFile) -> Iterator[Diagnostic]:
    value = trunk.value
    for key, given in (("peers", value.servers), ("srv", value.srv), ("register", value.registration)):
        if given and trunk.right(key):
            hint = f"remove `{key}`, or `phones`: phones are reached where they have registered"
            yield trunk.error((key,), f"{key} in a trunk of phones", hint, key=True)


def _users(
    settings: SettingsFile, registrar: RegistrarSettings, phones: list[TrunkFile], files: RoutingFiles
) -> Iterator[Diagnostic]:
    path = registrar.users or settings.value.users
    if path is None:
        hint = "write users: FILE beside it; `sbc user alice@REALM` prints the lines for it"
        yield settings.document.problem(("registrar",), "nobody has a password", hint, key=True)
        return
    if any(each.path == path for each in files.diagnostics) or path not in dict(files.digests):
        return
    realm, names = registrar.realm, files.phones.names(registrar.realm)
    if not names:
        hint = f"`sbc user alice@{realm}` prints a user's line"
        message = f"{path} has no user of the realm {realm}: nobody can register"
        yield settings.document.problem(("registrar", "realm"), message, hint, severity="warning")
    transports = {
        settings.value.listeners[each.value.listener].transport
        for each in phones
        if each.value.listener in settings.value.listeners
    }
    terms = [files.phones.terms(realm, name) for name in names]
    if transports and "tls" not in transports and any(each.tls_only or each.certificate for each in terms):
        hint = "give a trunk with phones a TLS listener"
        message = f"{path} has users who come by TLS alone, and no phones have a TLS listener"
        yield settings.document.problem(("registrar",), message, hint, key=True, severity="warning")
        return
    shows = any(
        each.value.tls is not None and each.value.tls.mode in ("optional", "required") for each in phones
    )
    if phones and not shows and any(each.certificate for each in terms):
        hint = "write tls: {mode: optional, trust: [NAME]} in a trunk of phones"
        message = f"{path} binds users to certificates, and no phones are asked for one"
        yield settings.document.problem(("registrar",), message, hint, key=True, severity="warning")

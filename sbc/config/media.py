"""Where media is received, and how packets are marked: ``media`` and ``dscp`` of sbc.yaml."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import BeforeValidator, model_validator

from sbc.config.values import Dscp, Duration, IpAddress, Name, PortRange, Strict


def _or_off(value: object) -> object:
    return None if value is False or (isinstance(value, str) and value.strip().lower() == "off") else value


OrOff = Annotated[Duration | None, BeforeValidator(_or_off, json_schema_input_type=Duration | Literal["off"])]


class MediaPlace(NamedTuple):
    """One bound address of media and its ports: ``network`` has it under ``key``, '' is the short form."""

    network: str
    key: Literal["address", "address6"]
    address: str
    advertise: str | None
    ports: str


class MediaNetwork(Strict):
    """A network of media: the bound address of each family, what SDP says instead, its ports.

    Each address has all the ``ports`` for itself.
    """

    address: IpAddress | None = None
    advertise: IpAddress | None = None
    address6: IpAddress | None = None
    advertise6: IpAddress | None = None
    ports: PortRange = "20000-29999"

    @model_validator(mode="after")
    def _families(self) -> MediaNetwork:
        if self.address is None and self.address6 is None:
            raise ValueError(
                "neither address nor address6: write where media of this network is received,"
                " such as address: 10.0.0.9"
            )
        for key in ("address", "advertise", "address6", "advertise6"):
            given, six = getattr(self, key), key.endswith("6")
            if given is not None and (":" in given) is not six:
                other = key.rstrip("6") if six else f"{key}6"
                raise ValueError(f"{key} {given} is of the other family: write {other}: {given}")
        for key, shown in (("address", self.advertise), ("address6", self.advertise6)):
            if shown is not None and getattr(self, key) is None:
                raise ValueError(f"{shown} is advertised and nothing bound: write {key}, where it arrives")
        return self


class MediaConfig(Strict):
    """Where media is received: the bound address, what SDP says instead, the ports; or several networks."""

    address: IpAddress = "127.0.0.1"
    advertise: IpAddress | None = None
    ports: PortRange = "20000-29999"
    networks: dict[Name, MediaNetwork] = {}
    timeout: Duration = 300.0
    one_way: OrOff = 15.0

    @model_validator(mode="after")
    def _one_form(self) -> MediaConfig:
        both = self.model_fields_set & {"address", "advertise", "ports"}
        if self.networks and both:
            raise ValueError(
                f"{', '.join(sorted(both))} beside networks: write each address with its ports in its network"
            )
        return self

    @property
    def places(self) -> tuple[MediaPlace, ...]:
        """Every bound address, in the order of the networks; the one of the short form has no network."""
        if not self.networks:
            return (MediaPlace("", "address", self.address, self.advertise, self.ports),)
        found = []
        for name, each in self.networks.items():
            if each.address is not None:
                found.append(MediaPlace(name, "address", each.address, each.advertise, each.ports))
            if each.address6 is not None:
                found.append(MediaPlace(name, "address6", each.address6, each.advertise6, each.ports))
        return tuple(found)


class Marks(Strict):
    """The DSCP (RFC 2474) of what we send: ``sip`` of signalling, ``rtp`` of RTP and RTCP; 0 is no mark."""

    sip: Dscp = 0
    rtp: Dscp = 0

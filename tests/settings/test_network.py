"""Which addresses may be connected to."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from service_monitoring.settings import AddressPolicy, InvalidValue
from service_monitoring.settings.network import address

REFUSED = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.254",
    "127.0.0.1",
    "127.1.2.3",
    "127.255.255.254",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.254",
    "192.0.0.1",
    "192.0.0.8",
    "192.0.0.170",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.1",
    "198.19.255.254",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::7f00:1",
    "::a00:1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:a9fe:a9fe",
    "::ffff:100.64.0.1",
    "::ffff:224.0.0.1",
    "0:0:0:0:0:ffff:c0a8:0001",
    "64:ff9b::127.0.0.1",
    "64:ff9b::8.8.8.8",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::a00:1",
    "64:ff9b:1:ffff::1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::1",
    "2001:db8::1",
    "2001:10::1",
    "2002:7f00:1::1",
    "2002:808:808::1",
    "2002:a9fe:a9fe::",
    "3fff::1",
    "4000::1",
    "5f00::1",
    "fc00::1",
    "fd00::1",
    "fd00:ec2::254",
    "fd12:3456:789a::1",
    "fe80::1",
    "fe80::1%lo",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "ffff::1",
]

PERMITTED = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.1",
    "169.253.255.255",
    "172.15.255.255",
    "172.32.0.0",
    "192.167.255.255",
    "192.169.0.0",
    "198.17.255.255",
    "198.20.0.0",
    "223.255.255.255",
    "::ffff:8.8.8.8",
    "2001:4860:4860::8888",
    "2606:4700:4700::1111",
    "2a00:1450:4001::1",
    "2003::1",
    "2400:cb00::1",
]

SHORTCUTS = [
    "0177.0.0.1",
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "017700000001",
    "127.0.0.01",
    "1.2.3.4.5",
    "256.1.1.1",
    "1.2.3",
    "[::1]",
    "::1::",
    "127.0.0.1:80",
    "localhost",
    "①②⑦.0.0.1",
    "::ffff:0x7f000001",
    "::ffff:127.1",
    "127.0.0.1/8",
    "1.1.1.1\x00",
]


def test_the_table_has_at_least_sixty_addresses() -> None:
    assert len(set(REFUSED)) >= 60


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_public_is_refused_with_a_reason(text: str) -> None:
    assert AddressPolicy().refusal(ip_address(text))


@pytest.mark.parametrize("text", PERMITTED)
def test_what_is_public_is_permitted(text: str) -> None:
    assert AddressPolicy().refusal(ip_address(text)) is None


@pytest.mark.parametrize("text", [*SHORTCUTS, "", " 127.0.0.1", "127.0.0.1 "])
def test_only_the_usual_text_of_an_address_is_read(text: str) -> None:
    with pytest.raises(InvalidValue, match="is not an address"):
        address(text)


@pytest.mark.parametrize(
    ("allowed", "text"),
    [
        ("127.0.0.0/8", "127.0.0.1"),
        ("127.0.0.0/8", "::ffff:127.0.0.1"),
        ("10.0.0.0/8", "10.1.2.3"),
        ("100.64.0.0/10", "100.64.0.1"),
        ("::1", "::1"),
        ("fd00::/8", "fd00::1"),
        ("fe80::/10", "fe80::1%lo"),
        ("64:ff9b::/96", "64:ff9b::8.8.8.8"),
        ("2002::/16", "2002:808:808::1"),
        ("64:ff9b:1::/48", "64:ff9b:1::a00:1"),
    ],
)
def test_a_listed_network_is_permitted(allowed: str, text: str) -> None:
    assert AddressPolicy.allowing([allowed]).refusal(ip_address(text)) is None


@pytest.mark.parametrize(
    "text",
    [
        "169.254.169.254",
        "::ffff:169.254.169.254",
        "::a9fe:a9fe",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::a9fe:a9fe",
        "64:ff9b:1:a9fe:a9:fe00::",
        "2002:a9fe:a9fe::1",
        "2001:0:1:2:3:4:5601:5601",
        "fd00:ec2::254",
        "fd00:ec2::254%lo",
    ],
)
def test_credentials_of_the_machine_stay_out_of_reach_whatever_is_allowed(text: str) -> None:
    everything = AddressPolicy.allowing(["0.0.0.0/0", "::/0"])
    assert "credentials" in (everything.refusal(ip_address(text)) or "")


@pytest.mark.parametrize("text", ["64:ff9b::10.0.0.1", "2002:a00:1::1", "::a00:1"])
def test_an_allowed_tunnel_does_not_lead_into_a_network_that_is_not(text: str) -> None:
    policy = AddressPolicy.allowing(["64:ff9b::/96", "2002::/16", "::/96"])
    assert "10.0.0.1 is private" in (policy.refusal(ip_address(text)) or "")


def test_networks_are_read_strictly() -> None:
    with pytest.raises(InvalidValue, match=r'"10\.0\.0\.1/8" names an address within a network; write 10\.0\.0\.0/8'):
        AddressPolicy.allowing(["10.0.0.1/8"])
    with pytest.raises(InvalidValue, match=r'"0x7f\.0\.0\.0/8" is not a network'):
        AddressPolicy.allowing(["0x7f.0.0.0/8"])

"""The identity provider as the file has it: read whole, and complained of by line and key."""

from pathlib import Path

import pytest

from service_monitoring.access.permissions import Role
from service_monitoring.settings import InvalidSettings, Secret, Settings, load
from tests.settings.rigs import SINKS, SOURCES

FILE = """\
web:
  url: https://monitor.example.com
  oidc:
    issuer: https://sso.example.com/realm/
    client_id: monitor
    client_secret: {env: SSO}
    roles: {admin: [heads], viewer: [staff, guests]}
"""


def loaded(folder: Path, text: str = FILE) -> Settings:
    path = folder / "monitoring.yaml"
    path.write_text(text)
    return load(path, sources=SOURCES, sinks=SINKS, environment={"SSO": "hush-hush"})


def test_what_is_left_out_is_what_most_providers_have(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    assert settings.web is not None and settings.web.oidc is not None
    oidc = settings.web.oidc
    assert oidc.issuer == "https://sso.example.com/realm/"  # as it calls itself, slash and all
    assert (oidc.name, oidc.account, oidc.claim) == ("single sign-on", "email", "groups")
    assert oidc.scopes == ("openid", "email", "profile")
    assert oidc.roles == (
        (Role.ADMIN, frozenset({"heads"})),
        (Role.RESPONDER, frozenset()),
        (Role.VIEWER, frozenset({"staff", "guests"})),
    )
    assert Secret("hush-hush") in settings.secrets and "hush" not in repr(settings)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("https://sso.example.com/realm/", "http://sso.example.com", ":4:13 web.oidc.issuer: .*not encrypted"),
        ("https://sso.example.com/realm/", "sso", ":4:13 web.oidc.issuer: .*not a URL"),
        ("  url: https://monitor.example.com\n", "", ":3:5 web.oidc: .*web.url"),
        ("  oidc:", "  authentication: none\n  oidc:", "web.oidc: nobody signs in here"),
        ("admin: [heads], viewer: [staff, guests]", "", ":7:12 web.oidc.roles: nobody would be let in"),
        ("client_id: monitor", "client_id: monitor\n    scopes: [email]", ":6:13 web.oidc.scopes: .*openid"),
        ("client_id: monitor", "client_id: monitor\n    scopes: [openid, a b]", "web.oidc.scopes.* not a scope"),
        ("{env: SSO}", "{env: NONE}", "web.oidc.client_secret: the environment has no variable NONE"),
        ("    client_id: monitor\n", "", "web.oidc: client_id is missing"),
        ("admin: [heads]", "owner: [heads]", "web.oidc.roles.owner"),
    ],
    ids=["plain", "no url", "no web.url", "open", "no roles", "no openid", "scope", "secret", "client", "unknown role"],
)
def test_what_cannot_work_is_complained_of(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    assert old in FILE
    with pytest.raises(InvalidSettings, match=complaint):
        loaded(tmp_path, FILE.replace(old, new))

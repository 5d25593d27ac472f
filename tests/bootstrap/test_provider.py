"""The identity provider of a program: there where the file has one, and said where its library is missing."""

import sys
from pathlib import Path

import pytest

from service_monitoring.bootstrap.loading import load
from service_monitoring.bootstrap.wiring import provider_of
from service_monitoring.runtime.clock import SystemClock
from service_monitoring.settings import InvalidSettings, Settings

FILE = """\
web:
  url: https://monitor.example.com
  oidc: {issuer: https://sso.example.com, client_id: monitor, client_secret: hush-hush, roles: {viewer: [staff]}}
"""


def loaded(folder: Path, text: str) -> Settings:
    path = folder / "monitoring.yaml"
    path.write_text(text)
    return load(path)


async def test_a_provider_is_there_where_the_file_has_one(tmp_path: Path) -> None:
    settings = loaded(tmp_path, FILE)
    made = provider_of(settings, SystemClock(), lambda: settings.network, lambda sentence: None)
    assert made is not None
    provider, fetcher = made
    assert provider.name == "single sign-on"
    await fetcher.close()
    none = loaded(tmp_path, "services: {}\n")
    assert provider_of(none, SystemClock(), lambda: none.network, lambda sentence: None) is None


def test_without_its_library_the_start_is_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = loaded(tmp_path, FILE)
    monkeypatch.setitem(sys.modules, "joserfc", None)
    with pytest.raises(InvalidSettings) as refused:
        provider_of(settings, SystemClock(), lambda: settings.network, lambda sentence: None)
    (complaint,) = refused.value.complaints
    assert str(complaint).endswith("web.oidc: joserfc is not installed; pip install 'service-monitoring[oidc]'")
    assert "monitoring.yaml:3:" in str(complaint)

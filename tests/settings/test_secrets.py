"""Secrets are read, and never shown."""

from __future__ import annotations

import base64
import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import BaseModel

from service_monitoring.settings import InvalidValue, Redactor, Secret, redact
from service_monitoring.settings.secrets import SecretReader

CANARY = "canary/+pass word?ü"


class Options(BaseModel):
    token: Secret
    headers: dict[str, Secret] = {}


def test_no_text_of_a_secret_shows_it() -> None:
    secret = Secret(CANARY)
    options = Options(token=secret, headers={"Authorization": secret})
    texts = [repr(secret), str(secret), f"{secret}", f"{secret:>40}", repr(options), str(options)]
    texts += [options.model_dump_json(), repr([secret]), repr({"a": secret}), str(vars(options))]
    assert not [text for text in texts if "canary" in text]
    assert secret.reveal() == CANARY


def test_secrets_are_equal_by_value_and_to_nothing_else() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    assert copy.deepcopy(Secret("a")) == Secret("a")


def test_a_secret_is_not_pickled() -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Secret(CANARY))


def test_a_model_outside_a_file_takes_the_text_and_no_reference() -> None:
    assert Options.model_validate({"token": "x"}).token == Secret("x")
    with pytest.raises(ValueError, match="only a configuration file may refer to one"):
        Options.model_validate({"token": {"env": "HOME"}})


def test_a_secret_is_a_text_a_variable_or_a_file_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from file\n", encoding="utf-8")
    reader = SecretReader(folder=tmp_path, environment={"TOKEN": "from environment"})
    found = [reader.read("plain"), reader.read({"env": "TOKEN"}), reader.read({"file": "token"})]
    assert [secret.reveal() for secret in found] == ["plain", "from environment", "from file"]
    assert reader.found == tuple(found)


@pytest.mark.parametrize(
    ("content", "text"), [(b"a\n", "a"), (b"a\r\n", "a"), (b"a\n\n", "a\n"), (b" a ", " a "), ("ü".encode(), "ü")]
)
def test_one_line_end_of_a_secrets_file_is_not_part_of_it(tmp_path: Path, content: bytes, text: str) -> None:
    (tmp_path / "token").write_bytes(content)
    assert SecretReader(folder=tmp_path, environment={}).read({"file": "token"}).reveal() == text


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ({"env": "MISSING"}, "the environment has no variable MISSING; set MISSING before starting"),
        ({"env": "EMPTY"}, "the environment variable EMPTY is empty"),
        ({"file": "missing"}, r"cannot be read \(No such file or directory\)"),
        ({"file": "."}, r"cannot be read \(Is a directory\)"),
        ({"file": "empty"}, "is empty"),
        ({"file": "binary"}, "is not UTF-8 text"),
        ({"file": "huge"}, "larger than 64 KiB"),
        ({"file": "a\0b"}, "cannot be read"),
        ({"env": "A", "file": "b"}, "a secret is expected here"),
        ({"vault": "x"}, "a secret is expected here"),
        (12345, "put digits in quotes"),
        (None, "a secret is expected here"),
    ],
)
def test_what_is_no_secret_is_refused_with_a_remedy(tmp_path: Path, written: object, problem: str) -> None:
    (tmp_path / "empty").write_bytes(b"\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "huge").write_bytes(b"x" * 70_000)
    with pytest.raises(InvalidValue, match=problem):
        SecretReader(folder=tmp_path, environment={"EMPTY": ""}).read(written)


FORMS: dict[str, Callable[[str], str]] = {
    "plain": lambda text: text,
    "url": quote,
    "url, everything": lambda text: quote(text, safe=""),
    "url, small letters": lambda text: quote(text, safe="").replace("%2B", "%2b").replace("%2F", "%2f"),
    "form": quote_plus,
    "json": json.dumps,
    "json, as it is": lambda text: json.dumps(text, ensure_ascii=False),
    "representation": repr,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64, for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode(),
    "basic, short name": lambda text: base64.b64encode(f"a:{text}".encode()).decode(),
    "basic, longer name": lambda text: base64.b64encode(f"ab:{text}".encode()).decode(),
    "within more": lambda text: base64.b64encode(f"abc:{text}\r\n and more".encode()).decode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_struck_out_in_every_form(form: str) -> None:
    shown = FORMS[form](CANARY)
    struck = redact(f"before {shown} after", [Secret("other"), Secret(CANARY)])
    assert "(secret)" in struck
    assert "canary" not in struck
    whole = base64.b64encode(CANARY.encode()).decode()
    assert not any(whole[start : start + 8] in struck for start in range(len(whole) - 8))
    assert struck.startswith("before ")
    assert struck.endswith(" after")


@given(st.text(min_size=4, max_size=40), st.text(max_size=20), st.text(max_size=20))
def test_no_text_keeps_a_secret(secret: str, before: str, after: str) -> None:
    assume(not any(0xD800 <= ord(character) <= 0xDFFF for character in secret))
    assume(secret not in "(secret)" and "(secret)" not in secret)
    struck = Redactor([Secret(secret)])(f"{before}\0{secret}\0{after}")
    assert f"\0{secret}\0" not in struck


def test_the_longer_of_two_secrets_is_struck_out_whole() -> None:
    assert redact("tokens-and-more", [Secret("tokens"), Secret("tokens-and-more")]) == "(secret)"


def test_without_secrets_a_text_stays_as_it_is() -> None:
    assert redact("anything", []) == "anything"
    assert redact("anything", [Secret(""), Secret("any")]) == "anything"

"""Status pages in the file: what they hold, and what is said of those that cannot be."""

from pathlib import Path

import pytest

from service_monitoring.settings import PublicGroup, PublicService, StatusPageSettings
from service_monitoring.settings.status import slug_of
from tests.settings.rigs import WHOLE, complaints, read

MORE = "  pay: {labels: {public: 'yes'}}\n  desk: {}\n"


def file(page: str, name: str = "main") -> str:
    text = WHOLE.replace("services:\n", f"services:\n{MORE}")
    assert text != WHOLE
    return f"{text}status_pages: {{{name}: {page}}}\n"


def page(folder: Path, body: str) -> StatusPageSettings:
    [found] = read(folder, file(body)).status_pages
    return found


def said(folder: Path, body: str, name: str = "main") -> list[str]:
    return [line.partition(" status_pages.")[2] for line in complaints(folder, file(body, name))]


def test_a_page_holds_what_is_listed_and_nothing_else(tmp_path: Path) -> None:
    body = "{title: The shop, services: [shop], match: {public: 'yes'}, rename: {pay: Checkout & Pay}}"
    shown = (PublicService("shop", "shop", "shop"), PublicService("pay", "Checkout & Pay", "checkout-pay"))
    assert page(tmp_path, body) == StatusPageSettings("main", "The shop", "", (PublicGroup("", shown),))


def test_groups_stand_below_what_has_none(tmp_path: Path) -> None:
    body = "{title: T, services: [shop], groups: [{name: Money, services: [pay]}], show: {history_days: 30}}"
    found = page(tmp_path, body)
    assert [(group.name, [each.name for each in group.services]) for group in found.groups] == [
        ("", ["shop"]),
        ("Money", ["pay"]),
    ]
    assert found.history_days == 30


def test_no_page_is_public_unless_one_is_written(tmp_path: Path) -> None:
    assert read(tmp_path, WHOLE).status_pages == ()


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        pytest.param(
            "{title: T, services: [shopp]}",
            "main.services[0]: there is no service shopp; write shop",
            id="a service that there is not",
        ),
        pytest.param(
            "{title: T, groups: [{name: G, services: [nobody]}]}",
            "main.groups[0].services[0]: there is no service nobody; known here: desk, pay, shop",
            id="a service of a group that there is not",
        ),
        pytest.param(
            "{title: T, services: [shop], groups: [{name: G, services: [shop]}]}",
            "main.groups[0].services[0]: shop is shown twice; list it once",
            id="a service twice",
        ),
        pytest.param("{title: T}", "main: the page shows nothing; write services: [NAME]", id="nothing"),
        pytest.param(
            "{title: T, match: {public: 'no'}}",
            "main: the page shows nothing; match labels that services have",
            id="labels that nothing has",
        ),
        pytest.param(
            "{title: T, services: [shop], rename: {pay: Pay}}",
            "main.rename.pay: pay is not on the page; known here: shop",
            id="a name for what is not shown",
        ),
        pytest.param(
            "{title: T, services: [shop, pay], rename: {pay: Shop!}}",
            "main.rename: shop and pay have the same public name, or nearly; name one of them otherwise",
            id="two that look alike",
        ),
        pytest.param(
            '{title: "T\\n", services: [shop]}',
            'main.title: "T\\n" is not a line that people can read; write 1 to 100 characters in one line',
            id="a title of two lines",
        ),
        pytest.param(
            "{title: T, services: [shop], show: {history_days: 0}}",
            "main.show.history_days: this should be greater than or equal to 1",
            id="no days",
        ),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, body: str, complaint: str) -> None:
    assert said(tmp_path, body) == [complaint]


def test_a_name_that_is_none_for_an_address_is_refused(tmp_path: Path) -> None:
    [complaint] = said(tmp_path, "{title: T, services: [shop]}", "My_Shop")
    assert complaint.endswith("is not a name for an address; use a to z, 0 to 9 and -, as in my-shop")


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        pytest.param("Checkout & Pay", "checkout-pay", id="words"),
        pytest.param("Übersicht", "ubersicht", id="marks"),
        pytest.param("購入", "3dcf94b6", id="no letters of ours"),
    ],
)
def test_a_public_name_has_an_address(name: str, slug: str) -> None:
    found = slug_of(name)
    assert found == slug or (slug.isalnum() and len(found) == 8 and not name.isascii())


def test_planned_work_is_public_under_a_name_of_its_own(tmp_path: Path) -> None:
    work = "maintenance: [{name: a, match: {service: shop}, weekly: Sun 03:00, lasts: 1h, public_name: An upgrade},\n"
    work += "  {name: b, match: {service: shop}, weekly: Sun 05:00, lasts: 1h}]\n"
    assert dict(read(tmp_path, WHOLE + work).public_work) == {"a": "An upgrade"}

"""The feed of a status page: its incidents and planned work as RSS 2.0, for readers of feeds.

Knows RSS. What is public is decided elsewhere: it is handed a view that holds nothing else.
"""

from __future__ import annotations

from datetime import datetime
from email.utils import format_datetime
from xml.etree.ElementTree import Element, SubElement, tostring

from service_monitoring.views.status import PublicIncident, PublicWork, StatusView

ATOM = "http://www.w3.org/2005/Atom"


def feed(view: StatusView, address: str) -> bytes:
    """The feed; `address` is where the public reaches the page.

    `lastBuildDate` is that of the newest entry: it does not change while nothing happens.
    """
    root = Element("rss", {"version": "2.0", "xmlns:atom": ATOM})
    channel = SubElement(root, "channel")
    _texts(
        channel, title=view.title, link=address, description=view.description or f"How {view.title} is", language="en"
    )
    link = {"rel": "self", "type": "application/rss+xml", "href": f"{address}/feed.rss"}
    SubElement(channel, "atom:link", link)
    incidents = (*view.open, *view.past)
    dates = [each.ended_at or each.began_at for each in incidents] + [each.begins_at for each in view.work if each.now]
    if dates:
        _texts(channel, lastBuildDate=_date(max(dates)))
    for incident in incidents:
        _of_incident(channel, incident, address)
    for work in view.work:
        _of_work(channel, work, address, view.page)
    return f'<?xml version="1.0" encoding="utf-8"?>\n{tostring(root, encoding="unicode")}'.encode()


def _of_incident(channel: Element, incident: PublicIncident, address: str) -> None:
    """One entry from its beginning on: its guid stays when it ends, so that readers show it once."""
    said = f"Since {_plain(incident.began_at)}."
    if incident.ended_at is not None:
        said = f"From {_plain(incident.began_at)} to {_plain(incident.ended_at)}."
    item = SubElement(channel, "item")
    _texts(item, title=incident.summary, link=f"{address}/history?month={incident.began_at[:7]}", description=said)
    SubElement(item, "guid", {"isPermaLink": "false"}).text = incident.id
    _texts(item, pubDate=_date(incident.began_at), category=str(incident.state))


def _of_work(channel: Element, work: PublicWork, address: str, page: str) -> None:
    item = SubElement(channel, "item")
    said = f"From {_plain(work.begins_at)} to {_plain(work.ends_at)}: {', '.join(work.services)}."
    _texts(item, title=work.name, link=address, description=said)
    SubElement(item, "guid", {"isPermaLink": "false"}).text = f"{page}/{work.begins_at}/{work.name}"
    _texts(item, category="maintenance")


def _texts(above: Element, **named: str) -> None:
    for name, text in named.items():
        SubElement(above, name).text = text


def _plain(at: str) -> str:
    return f"{at[:10]} {at[11:16]} UTC"


def _date(at: str) -> str:
    return format_datetime(datetime.fromisoformat(at))

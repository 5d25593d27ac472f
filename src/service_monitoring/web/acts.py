"""The pages behind links in notices: one asks whether it is meant, the button on it does it.

Knows paths, methods and a little HTML. Does not know what a link permits, nor who wrote it. Looking at a page changes
nothing: programs that fetch every link of a message before its reader does are many. There is no script on a page, no
picture and no style, and a page that somebody leaves sends its address nowhere.
"""

from __future__ import annotations

from html import escape
from typing import Final
from urllib.parse import parse_qs

from service_monitoring.errors import Conflict, Expired, NotFound, Refused, TooMuch, Unavailable
from service_monitoring.views.incidents import IncidentRow
from service_monitoring.views.links import LinkDesk, Offer
from service_monitoring.web.arrivals import Answer, Asgi, Gone, Receive, Scope, Send, body_of, respond

_PATH: Final = "/act/"
_METHODS: Final = ("GET", "HEAD", "POST")
_MOST: Final = 4 * 1024
"""Bytes of a form with one field."""
_SUMMARY: Final = 500
_AGAIN: Final = "5"
_HEADERS: Final = (
    ("content-security-policy", "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"),
    ("x-robots-tag", "noindex, nofollow"),
    ("x-frame-options", "DENY"),
)
_DONE: Final = {"acknowledge": "Acknowledged", "resolve": "Resolved"}


class Acts:
    """Serves `/act/...`, and hands everything else on. Holds no state."""

    def __init__(self, links: LinkDesk, otherwise: Asgi) -> None:
        self._links = links
        self._otherwise = otherwise

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        path: str = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith(_PATH):
            await self._otherwise(scope, receive, send)
            return
        try:
            answer = await self._answer(path.removeprefix(_PATH), scope["method"], receive)
        except Gone:
            return
        except NotFound:
            answer = _page(404, "Nothing here", "This link opens nothing: it is not whole, or not from here.")
        except Expired as error:
            answer = _page(410, "Too old", _sentence(error))
        except TooMuch as error:
            answer = _page(429, "Later", "Too much came at once: try again soon.", retry_after=str(error.seconds))
        except Unavailable as error:
            answer = _page(503, "Not now", _sentence(error), retry_after=_AGAIN)
        except (Refused, Conflict) as error:
            answer = _page(409, "Nothing was changed", _sentence(error))
        except Exception:
            await respond(scope, send, _page(500, "Error", "The program made a mistake: its log says which."))
            raise
        await respond(scope, send, answer)

    async def _answer(self, token: str, method: str, receive: Receive) -> Answer:
        offer = await self._links.look(token)
        if method not in _METHODS:
            return _page(
                405, "Not understood", "This page is looked at, or its button pressed.", allow=", ".join(_METHODS)
            )
        if method != "POST":
            return _offered(offer)
        content, cut = await body_of(receive, _MOST)
        if cut:
            return _page(413, "Too large", "The form has one field, for a name.")
        row = await self._links.use(token, _name(content))
        return _page(
            200, f"{_DONE[offer.act]}: {row.service}.{row.rule}", f"It is {row.state} now. You may close this page."
        )


def _offered(offer: Offer) -> Answer:
    row, word = offer.incident, offer.act.capitalize()
    name = f"{row.service}.{row.rule}"
    if offer.refusal:
        return _page(200, name, _capital(offer.refusal) + ". Nothing is left to do here.", _about(row))
    button = (
        '<form method="post"><p><label>Your name, if you like: '
        '<input name="by" maxlength="100" autocomplete="name"></label></p>'
        f"<p><button>{escape(word)}</button></p></form>"
    )
    return _page(200, f"{word} {name}?", "Nothing happens before you press the button.", _about(row) + button)


def _about(row: IncidentRow) -> str:
    summary = row.summary if len(row.summary) <= _SUMMARY else row.summary[:_SUMMARY] + "..."
    return f"<p>{escape(summary)}</p><p>{escape(f'{row.state}, {row.severity}, open since {row.opened_at}')}</p>"


def _page(status: int, title: str, sentence: str, more: str = "", **headers: str) -> Answer:
    """A page of its own; `more` is HTML, everything else is text. Names of headers are written with `_` for `-`."""
    body = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
        '<meta name="robots" content="noindex, nofollow"><meta name="referrer" content="no-referrer">'
        f"<title>{escape(title)}</title></head><body><main><h1>{escape(title)}</h1>{more}<p>{escape(sentence)}</p>"
        "</main></body></html>\n"
    )
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Answer(status, body.encode(errors="replace"), "text/html; charset=utf-8", (*_HEADERS, *named))


def _name(content: bytes) -> str:
    """The name that was typed, or nothing: what is no such form does not keep anybody from acting."""
    try:
        given = parse_qs(content.decode(errors="replace"), max_num_fields=5)
    except ValueError:
        return ""
    return given.get("by", [""])[0]


def _sentence(error: Exception) -> str:
    return _capital(str(error)) + "."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]

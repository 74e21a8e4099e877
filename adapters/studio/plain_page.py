"""Pages of plain HTML for people without a session of the studio."""

from __future__ import annotations

import html

from fastapi import Request
from fastapi.responses import HTMLResponse


def locale_of(request: Request) -> str:
    language = request.headers.get("accept-language", "en").lower()
    return "zh" if language.startswith("zh") else "en"


def plain_page(body: str, *, locale: str, status: int = 200) -> HTMLResponse:
    """Returns a page; `body` is HTML in which texts of people are escaped already."""
    page = _PAGE.format(lang=html.escape(locale), style=_STYLE, body=body)
    # With no-referrer, browsers would send "Origin: null" with the forms of these pages.
    headers = {"cache-control": "no-store", "referrer-policy": "same-origin"}
    return HTMLResponse(page, status_code=status, headers=headers)


_STYLE = """
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: #22252f;
  font: 15px/1.5 "Segoe UI", Roboto, "Helvetica Neue", "PingFang SC", sans-serif; }
form, main { background: #fff; color: #22252f; padding: 34px 36px 30px; border-radius: 16px;
  width: min(300px, 78vw); display: flex; flex-direction: column; gap: 12px; margin: 16px 0;
  box-shadow: 0 20px 60px rgba(0,0,0,.35); box-sizing: content-box; }
.wide { width: min(560px, 78vw); }
h1 { font-size: 20px; margin: 0 0 4px; } label, .hint { color: #5b6270; font-size: 13px; }
input, textarea { font: inherit; padding: 10px 12px; border: 1px solid #8a90a0;
  border-radius: 8px; resize: vertical; }
button { font: inherit; font-weight: 600; color: #fff; background: #3f51b5; border: 0;
  padding: 11px; border-radius: 8px; cursor: pointer; }
a { color: #3f51b5; } p { margin: 0; } .problem { color: #8c1d18; min-height: 1.5em; }
@media (prefers-color-scheme: dark) {
  form, main { background: #21252e; color: #e6e8ee; } label, .hint { color: #99a0b0; }
  input, textarea { background: #191c23; color: inherit; border-color: #6b7282; }
  .problem { color: #ffb4ab; } a { color: #aab4ff; }
}
:focus-visible { outline: 2px solid #3f51b5; outline-offset: 2px; }
"""

_PAGE = """<!doctype html>
<html lang="{lang}"><head><meta charset="utf-8"><title>Attune</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{style}</style></head>
<body>{body}</body></html>
"""

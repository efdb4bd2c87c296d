"""The server's side: the app as ASGI, and Streamlit's own scripts made lighter on their way to the browser.

Streamlit sends 9 MB of scripts as they are, and begins to fetch Plotly's half of them only when the first figure has
arrived. Here they are compressed once and kept, and the page names the large ones in its head, so that they are under
way, and Plotly is read, while Python still works. It also says where the app lies, which Streamlit would find out by
asking until an answer is not 404.
"""

from __future__ import annotations

import gzip
import threading
from collections.abc import Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import streamlit
from starlette.middleware import Middleware
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

APP = Path(__file__).parent / "run" / "script.py"
STATIC = Path(streamlit.__file__).parent / "static"
EARLY = (
    "PlotlyChart.*.js", "arrowFormatUtils.*.js", "Html.*.js", "purify.es.*.js", "ButtonGroup.*.js", "PageLink.*.js",
    "WidgetLabel*.js", "withFullScreenWrapper.*.js", "useBasicWidgetState.*.js", "printWidthCap.*.js",
    "resolveDefaultExport.*.js", "styled-components.*.js",
)  # fmt: skip
"""What pages need and Streamlit asks for only when the first element of the kind has arrived."""
_SMALLEST = 2_000
_FOREVER = "public, immutable, max-age=31536000"


class Lighter:
    """Serve the scripts compressed, and the page with what its head should say; leave the rest to Streamlit."""

    def __init__(self, app: ASGIApp, static: Path = STATIC) -> None:
        self._app = app
        self._static = static
        self._packed: dict[str, bytes] = {}
        self._page = with_head((static / "index.html").read_text("utf-8"), early(static)).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass on."""
        answer = self._answer(scope) if scope["type"] == "http" and scope["method"] == "GET" else None
        await (answer or self._app)(scope, receive, send)

    def _answer(self, scope: Scope) -> Response | None:
        path = str(scope["path"])
        if "." not in path and "/_stcore" not in path and _wants(scope, b"accept", b"text/html"):
            return Response(self._page, media_type="text/html", headers={"Cache-Control": "no-cache"})
        file = self._static / path.lstrip("/")
        fit = path.startswith("/static/") and path.endswith((".js", ".css")) and ".." not in path
        if not fit or not _wants(scope, b"accept-encoding", b"gzip") or not file.is_file():
            return None
        kind = "text/javascript" if path.endswith(".js") else "text/css"
        headers = {"Content-Encoding": "gzip", "Cache-Control": _FOREVER, "Vary": "Accept-Encoding"}
        return Response(self.packed(path, file), media_type=kind, headers=headers)

    def packed(self, path: str, file: Path) -> bytes:
        """A file's bytes, compressed when it is first asked for."""
        if path not in self._packed:
            self._packed[path] = gzip.compress(file.read_bytes(), 6)
        return self._packed[path]


def _wants(scope: Scope, header: bytes, what: bytes) -> bool:
    return any(name == header and what in value for name, value in scope["headers"])


def early(static: Path) -> list[str]:
    """The scripts that the page should begin to fetch at once, as addresses below the root."""
    return [f"/static/js/{file.name}" for pattern in EARLY for file in (static / "static" / "js").glob(pattern)]


def with_head(page: str, scripts: list[str]) -> str:
    """Streamlit's page with absolute addresses, the large scripts named in its head, and the place of the app."""
    named = "".join(f'<link rel="modulepreload" crossorigin href="{each}">' for each in scripts)
    place = "const at=location.origin+'/';window.__streamlit={BACKEND_BASE_URL:at,MAIN_PAGE_BASE_URL:at}"
    place = f"<script>{place}</script>"
    absolute = page.replace('href="./', 'href="/').replace('src="./', 'src="/')
    begun = "".join(f"import('{each}');" for each in scripts if "PlotlyChart" in each)
    named += f"<script type=\"module\">addEventListener('load',()=>setTimeout(()=>{{{begun}}},0))</script>"
    return absolute.replace("<head>", f"<head>{place}", 1).replace("</head>", f"{named}</head>", 1)


@asynccontextmanager
async def warmed(app: Any) -> Any:
    """Import what the first reader would wait for, beside the server's own start."""
    threading.Thread(target=_import, daemon=True).start()
    yield {}


def _import() -> None:
    import coinlake.dashboard.app
    import coinlake.dashboard.pages.coin
    import coinlake.dashboard.pages.market  # noqa: F401


AROUND: Mapping[str, Any] = {"middleware": [Middleware(Lighter)], "lifespan": warmed}
"""What the app is started with."""
app = streamlit.App(APP, **AROUND)


def serve(port: int, address: str) -> None:
    """Serve until Ctrl-C."""
    from streamlit.web import bootstrap

    flags = {"server_port": port, "server_address": address}
    bootstrap.load_config_options(flags)
    bootstrap.run_asgi_app(str(APP), "coinlake.dashboard.door:app", [], flags)

"""wechatpy's client on our legs: its knowledge of interfaces, our way to call them.

Everything it sends goes through ``Api.call``: base address, time-outs, shared token, one repeat, our exceptions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from wechatpy import WeChatClient

from wechat.api import Interface

if TYPE_CHECKING:
    from wechat.api import Api


def bridge(api: Api) -> WeChatClient:
    """The client of wechatpy for this mini-program. It holds no secret and keeps no token."""
    client = _Bridge(api.appid, "", auto_retry=False)
    client.our_api = api
    return client


class _Bridge(WeChatClient):  # type: ignore[misc] # wechatpy has no types
    our_api: Api

    @property
    def access_token(self) -> str:
        # Its constructor looks at every attribute; before ``our_api`` is there this raises AttributeError, as it must.
        return self.our_api.tokens.get()

    def fetch_access_token(self) -> None:
        """Never its own way: no time-out, no lock, the old interface."""
        raise RuntimeError("the token comes from wechat.tokens")

    def _request(self, method: str, url_or_endpoint: str, **words: Any) -> Any:
        """Its host is replaced by ours, its path kept; only JSON and queries are needed, files are not."""
        if words.get("files") is not None:
            raise RuntimeError("uploads don't go through the bridge")
        base = words.pop("api_base_url", self.API_BASE_URL)
        whole = url_or_endpoint if url_or_endpoint.startswith("https://") else base + url_or_endpoint
        query = {name: str(value) for name, value in (words.get("params") or {}).items() if name != "access_token"}
        path = urlsplit(whole).path
        interface = Interface(path.strip("/"), method.upper(), path)
        found = self.our_api.call(interface, words.get("data"), query=query)
        processor = words.get("result_processor")
        return processor(found) if processor else found

"""What nginx is told, and what it says of every request. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import PurePath

__all__ = ["Tls", "nginx_conf"]


@dataclass(frozen=True, slots=True)
class Tls:
    """HTTPS beside HTTP: a certificate file with its chain, and its key."""

    port: int
    certificate: PurePath
    key: PurePath


def nginx_conf(
    address: ipaddress.IPv4Address,
    port: int,
    root: PurePath,
    state: PurePath,
    group: str,
    tls: Tls | None = None,
) -> str:
    """The whole configuration of an nginx of our own: files of ``root``, read only.

    ``state`` is a folder that it may write to, ``group`` the group of the user ``nobody``. The access log
    goes to standard output, one JSON object a request: ``ip``, ``method``, ``path``, ``status``, ``bytes``,
    ``seconds``, and ``whole``, which is ``OK`` if the answer was sent to its end.
    """
    listen = [f"listen {address}:{port};"]
    if tls is not None:
        listen += [
            f"listen {address}:{tls.port} ssl;",
            f"ssl_certificate {_quoted(tls.certificate)};",
            f"ssl_certificate_key {_quoted(tls.key)};",
            "ssl_protocols TLSv1.2 TLSv1.3;",
        ]
    indented = "\n        ".join(listen)
    temporary = "\n    ".join(
        f"{name}_temp_path {_quoted(state / name)};"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""daemon off;
user nobody {group};
worker_processes 1;
pid {_quoted(state / "nginx.pid")};
error_log stderr warn;
events {{
    worker_connections 1024;
}}
http {{
    {temporary}
    log_format requests escape=json '{{"ip":"$remote_addr","method":"$request_method","path":"$uri",'
        '"status":$status,"bytes":$body_bytes_sent,"seconds":$request_time,"whole":"$request_completion"}}';
    access_log /dev/stdout requests;
    # shim asks for files that need not be there.
    log_not_found off;
    server_tokens off;
    default_type application/octet-stream;
    sendfile on;
    # One machine's request never holds the worker for the whole of a large file.
    sendfile_max_chunk 1m;
    tcp_nopush on;
    keepalive_timeout 15;
    client_max_body_size 1k;
    server {{
        {indented}
        root {_quoted(root)};
        disable_symlinks on;
        location / {{
            limit_except GET {{
                deny all;
            }}
        }}
    }}
}}
"""


def _quoted(path: PurePath) -> str:
    """A path in nginx's quotes."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'

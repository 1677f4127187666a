# The HTTP server of the peers that pull: nginx at east, serving a folder from disk with sendfile.
# SPDX-License-Identifier: Apache-2.0
import os

from lab import ADDRESS

PORT = 8080
URL = f"http://{ADDRESS['east']}:{PORT}/"


def server(lab, folder):
    configuration = os.path.join(lab.work, "nginx.conf")
    with open(configuration, "w") as file:
        file.write(f"""\
daemon off;
user root;
worker_processes 1;
worker_rlimit_nofile 100000;
pid {lab.work}/nginx.pid;
error_log {lab.work}/nginx-error.log;
events {{ worker_connections 8192; }}
http {{
    access_log off;
    sendfile on;
    sendfile_max_chunk 2m;
    tcp_nopush on;
    keepalive_requests 1000000;
    client_body_temp_path {lab.work}/nginx-body;
    proxy_temp_path {lab.work}/nginx-proxy;
    fastcgi_temp_path {lab.work}/nginx-fastcgi;
    uwsgi_temp_path {lab.work}/nginx-uwsgi;
    scgi_temp_path {lab.work}/nginx-scgi;
    server {{ listen {ADDRESS['east']}:{PORT}; root {folder}; autoindex on; }}
}}
""")
    return lab.process("east", "nginx", "-c", configuration, "-p", lab.work), PORT, "tcp"

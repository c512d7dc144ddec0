"""The other proxies of the comparisons: their settings and commands."""

NGINX = """daemon off; master_process on; worker_processes 1; worker_rlimit_nofile {files};
pid {folder}/nginx.pid; error_log {folder}/nginx.err warn;
events {{ worker_connections {files}; multi_accept on; }}
http {{
  access_log off; tcp_nodelay on;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{
    listen {host}:{port}{tls} backlog=8192;
    {certificate}
    location / {{
      proxy_pass http://{host}:{upstream}; proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade"; proxy_set_header Host $host;
      proxy_read_timeout 1h; proxy_send_timeout 1h; proxy_buffer_size 16k; proxy_buffers 8 16k;
    }}
  }}
}}
"""
HAPROXY = """global
  nbthread 1
  maxconn {sessions}
  no log
defaults
  mode {mode}
  timeout connect 5s
  timeout client 1h
  timeout server 1h
  timeout tunnel 1h
frontend clients
  bind {host}:{port} backlog 8192 {bind}
  maxconn {sessions}
  default_backend echo
backend echo
  server echo {host}:{upstream} {server}
"""


def written(folder, name, text):
    path = f"{folder}/{name}"
    with open(path, "w") as file:
        file.write(text)
    return path


def nginx(folder, host, port, upstream, sessions, certificate=None):
    """The command of nginx, for at most so many sessions. `certificate` is a file with the key: clients speak TLS 1.3."""
    files = 2 * sessions + 100
    lines = f"ssl_certificate {certificate}; ssl_certificate_key {certificate}; ssl_protocols TLSv1.3;" if certificate else ""
    tls = " ssl" if certificate else ""
    text = NGINX.format(folder=folder, host=host, port=port, upstream=upstream, files=files, tls=tls, certificate=lines)
    return ["nginx", "-p", folder, "-e", f"{folder}/nginx.err", "-c", written(folder, "nginx.conf", text)]


def haproxy(folder, host, port, upstream, sessions, mode="http", bind="", server=""):
    """The command of HAProxy, for at most so many sessions. `bind` and `server` add to the lines of these names."""
    values = {"host": host, "port": port, "upstream": upstream, "sessions": sessions}
    text = HAPROXY.format(**values, mode=mode, bind=bind, server=server)
    return ["haproxy", "-db", "-f", written(folder, f"haproxy-{port}.cfg", text)]

"""Real servers for the tests of delivery: aiosmtpd in this process, Postfix and Alertmanager from Debian.

What is not there is installed where root and apt-get are; else the tests that need it are skipped, which is said, and
with CI=true is a failure.
"""

import contextlib
import http.server
import json
import os
import pathlib
import shutil
import socket
import ssl
import subprocess
import threading
import time
import urllib.request

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

USER, PASSWORD = "alert", "cH9t-Ps5 word"


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def wait_for(what, within=30.0):
    """The first true value of `what()`; asked again and again, because nobody tells when another process is ready."""
    end = time.monotonic() + within
    pause = threading.Event()
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < end, f"nothing came within {within} s"
        pause.wait(0.05)


def debian(package, program):
    """The path of a program of a Debian package; installs it where that can be done."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin:/usr/bin")
    if not found and os.geteuid() == 0 and shutil.which("apt-get"):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
        subprocess.run(["apt-get", "update", "-qq"], **quiet, check=False)
        subprocess.run(["apt-get", "install", "-qq", "-y", "--no-install-recommends", *package.split()], **quiet, check=False)
        found = shutil.which(program, path="/usr/sbin:/sbin:/usr/bin:" + os.environ["PATH"])
    if not found:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{package} could not be installed")
        pytest.skip(f"no {package}, and it cannot be installed here")
    return found


class Certificates:
    """A certificate authority of our own, and a server's certificate for `localhost` and 127.0.0.1."""

    def __init__(self, directory):
        self.authority = trustme.CA()
        self.ca_file = directory / "ca.pem"
        self.authority.cert_pem.write_to_path(self.ca_file)
        server = self.authority.issue_cert("localhost", "127.0.0.1")
        self.key_file, self.cert_file = directory / "server.key", directory / "server.pem"
        server.private_key_pem.write_to_path(self.key_file)
        for index, blob in enumerate(server.cert_chain_pems):
            blob.write_to_path(self.cert_file, append=index > 0)

    def context(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.cert_file, self.key_file)
        return context


class Box:
    """Keeps what comes: (recipient, bytes). `refuse` maps a recipient to the replies it gets before it is taken."""

    def __init__(self, refuse=None):
        self.mails, self.refuse, self.tries = [], dict(refuse or {}), []

    async def handle_RCPT(self, server, session, envelope, address, options):
        replies = self.refuse.get(address)
        if replies:
            return replies[0] if len(replies) == 1 and replies[0].startswith("5") else replies.pop(0)
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server, session, envelope):
        self.tries.append(envelope.content)
        self.mails += [(it, envelope.content) for it in envelope.rcpt_tos]
        return "250 queued"


@contextlib.contextmanager
def smtp(box, certificates, tls):
    """aiosmtpd that wants TLS and a password. Gives its port."""

    def check(server, session, envelope, mechanism, login):
        assert isinstance(login, LoginPassword)
        is_right = login.login == USER.encode() and login.password == PASSWORD.encode()
        return AuthResult(success=is_right, handled=is_right)

    options = {"authenticator": check, "auth_required": True}
    if tls == "starttls":
        options |= {"tls_context": certificates.context(), "require_starttls": True}
    else:
        options |= {"ssl_context": certificates.context(), "auth_require_tls": False}
    controller = Controller(box, hostname="127.0.0.1", port=free_port(), **options)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


@contextlib.contextmanager
def process(command, **options):
    started = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, **options)
    try:
        yield started
    finally:
        started.terminate()
        try:
            started.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            started.kill()
            started.communicate()


@contextlib.contextmanager
def alertmanager(directory):
    """A Prometheus Alertmanager of Debian. Gives its URL."""
    program = debian("prometheus-alertmanager", "prometheus-alertmanager")
    config = directory / "am.yml"
    config.write_text("route:\n  receiver: nobody\nreceivers:\n  - name: nobody\n")
    port = free_port()
    command = [
        program,
        f"--config.file={config}",
        f"--storage.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    url = f"http://127.0.0.1:{port}"

    def is_ready():
        try:
            return urllib.request.urlopen(f"{url}/-/ready", timeout=2).status == 200
        except OSError:
            return False

    with process(command):
        wait_for(is_ready)
        yield url


@contextlib.contextmanager
def webhook(status=200):
    """An HTTP server that keeps what is posted: (headers, JSON). Gives its URL and the list."""
    posts = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posts.append((self.headers, json.loads(body)))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"thank you")

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook", posts
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Postfix:
    """Postfix of Debian with STARTTLS, AUTH by a database of its own users, and delivery into directories."""

    MAIN = """
compatibility_level = 3.6
queue_directory = {dir}/queue
data_directory = {dir}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
myhostname = localhost
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
alias_maps =
virtual_mailbox_domains = example.test
virtual_mailbox_maps = inline:{{ {{ me@example.test = me/ }} {{ you@example.test = you/ }} }}
virtual_mailbox_base = {dir}/mail
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
smtpd_tls_cert_file = {cert}
smtpd_tls_key_file = {key}
smtpd_tls_security_level = encrypt
smtpd_tls_auth_only = yes
smtpd_sasl_auth_enable = yes
smtpd_sasl_path = smtpd
cyrus_sasl_config_path = {dir}/sasl
smtpd_relay_restrictions = permit_sasl_authenticated, reject
maillog_file = {dir}/maillog
maillog_file_prefixes = {dir}
"""
    MASTER = """
127.0.0.1:{port} inet n - n - - smtpd
postlog unix-dgram n - n - 1 postlogd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
error unix - - n - - error
virtual unix - n n - - virtual
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
tlsmgr unix - - n 1000? 1 tlsmgr
"""

    def __init__(self, directory, certificates):
        self.directory, self.certificates, self.port = directory, certificates, free_port()
        self.config = directory / "config"

    def __enter__(self):
        import pwd

        self.program = debian("postfix libsasl2-modules sasl2-bin", "postfix")
        debian("sasl2-bin", "saslpasswd2")
        who = pwd.getpwnam("postfix")
        for name in ("config", "queue", "data", "mail", "sasl"):
            (self.directory / name).mkdir()
        for name in ("data", "mail"):
            shutil.chown(self.directory / name, who.pw_uid, who.pw_gid)
        places = {
            "dir": self.directory,
            "uid": who.pw_uid,
            "gid": who.pw_gid,
            "cert": self.certificates.cert_file,
            "key": self.certificates.key_file,
            "port": self.port,
        }
        (self.config / "main.cf").write_text(self.MAIN.format(**places))
        (self.config / "master.cf").write_text(self.MASTER.format(**places))
        (self.directory / "sasl" / "smtpd.conf").write_text("pwcheck_method: auxprop\nauxprop_plugin: sasldb\nmech_list: PLAIN LOGIN\n")
        # The database is read at its usual place whatever the configuration says.
        subprocess.run(
            ["saslpasswd2", "-p", "-c", "-u", "localhost", USER], input=PASSWORD, text=True, check=True
        )
        shutil.chown("/etc/sasldb2", group="postfix")
        os.chmod("/etc/sasldb2", 0o640)
        # Directories above a temporary one are closed to others.
        for parent in [self.directory, *self.directory.parents]:
            if parent in (pathlib.Path("/"), pathlib.Path("/tmp")):
                break
            os.chmod(parent, 0o755)
        self.run("start")
        wait_for(self.answers)
        return self

    def __exit__(self, *_):
        self.run("stop")
        subprocess.run(["saslpasswd2", "-d", "-u", "localhost", USER], check=False)

    def run(self, what):
        done = subprocess.run([self.program, "-c", self.config, what], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr

    def answers(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=2).close()
            return True
        except OSError:
            return False

    def mails(self, user):
        return [it.read_bytes() for it in sorted((self.directory / "mail" / user / "new").glob("*"))]

"""Alerts through real servers: what arrives, read by other people's programs.

`gradwatch watch --once` reads a run, tells of it, and ends when all is sent; a second start goes on with the same
incident. Mails are read by Python's email package.
"""

import email
import email.policy
import email.utils
import json
import os
import pathlib
import shutil
import subprocess
import urllib.request

import pytest
import servers

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BINARY = os.environ.get("GRADWATCH", str(ROOT / "target" / "release" / "gradwatch"))
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    return servers.Certificates(tmp_path_factory.mktemp("certificates"))


class Watchdog:
    """gradwatch with a configuration, a state directory and one run of its own."""

    def __init__(self, directory):
        self.directory = directory
        self.run = directory / "runs" / "nan"
        shutil.copytree(ROOT / "fixtures" / "runs" / "nan-bad-data", self.run)
        (directory / "password").write_text(servers.PASSWORD + "\n")
        (directory / "token").write_text("t0k3n\n")
        self.config = directory / "gradwatch.toml"

    def configure(self, text):
        head = '[alerts]\ngroup_wait = "0s"\nkeep_firing_for = "0s"\n'
        self.config.write_text(f"{head}{text}")
        return self

    def mail(self, port, certificates, tls="starttls", to=("me@example.test",), host="localhost"):
        return self.configure(
            f"""[mail]
host = "{host}"
port = {port}
tls = "{tls}"
username = "{servers.USER}"
password_file = "password"
from = "Watchdog <gradwatch@example.test>"
to = {json.dumps(list(to))}
ca_file = "{certificates.ca_file}"
timeout = "10s"
"""
        )

    def call(self, *arguments, status=None):
        command = [BINARY, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=self.directory)
        printed = done.stdout + done.stderr
        assert servers.PASSWORD not in printed and "t0k3n" not in printed, printed
        assert status is None or done.returncode == status, printed
        return printed

    def watch(self, status=1):
        flags = ["--config", self.config, "--state", self.directory / "state"]
        return self.call("watch", "--once", *flags, self.directory / "runs", status=status)

    def mail_test(self, status):
        return self.call("mail-test", "--config", self.config, status=status)


@pytest.fixture
def watchdog(tmp_path):
    return Watchdog(tmp_path)


def parsed(mail):
    message = email.message_from_bytes(mail, policy=email.policy.default)
    problems = [problem for part in message.walk() for problem in part.defects]
    assert not problems, problems
    return message


def html_of(message):
    return message.get_body(("html",)).get_content()


def text_of(message):
    return message.get_body(("plain",)).get_content()


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_a_mail_arrives_whole_over_tls_with_a_password(watchdog, certificates, tls):
    box = servers.Box()
    with servers.smtp(box, certificates, tls) as port:
        watchdog.mail(port, certificates, tls, to=("me@example.test", "You <you@example.test>")).watch()
    assert sorted(it[0] for it in box.mails) == ["me@example.test", "you@example.test"]
    for recipient, mail in box.mails:
        message = parsed(mail)
        assert message["Subject"].startswith("[gradwatch] [CRITICAL] nan: gradient norm is NaN since step 1")
        assert email.utils.getaddresses([message["To"]])[0][1] == recipient
        assert message["Auto-Submitted"] == "auto-generated"
        assert "gradwatch" in message["List-Id"]
        assert message["In-Reply-To"] is None and message["References"] is None
        assert abs((email.utils.localtime() - message["Date"].datetime).total_seconds()) < 120
        assert message["Message-ID"].endswith(">") and ".0@" in message["Message-ID"]
        assert len(mail) < 200_000
        for part in (text_of(message), html_of(message)):
            for words in ("non-finite-gradients", "layer_00", "What to check", "What to do", "gradwatch ack", "gradwatch silence"):
                assert words in part, words
    assert len({parsed(it[1])["Message-ID"] for it in box.mails}) == 1


def picture_of(message):
    """The one picture of a mail, where the HTML part shows it."""
    (picture,) = [it for it in message.walk() if it.get_content_type() == "image/png"]
    data = picture.get_payload(decode=True)
    assert data.startswith(PNG) and 5_000 < len(data) < 100_000
    assert f"cid:{picture['Content-ID'].strip('<>')}" in html_of(message)
    assert picture.get_content_disposition() == "inline"
    kinds = [it.get_content_type() for it in message.walk()]
    assert kinds == ["multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png"]
    return data


def test_a_picture_of_the_layers_goes_along(watchdog, certificates):
    box = servers.Box()
    with servers.smtp(box, certificates, "starttls") as port:
        watchdog.mail(port, certificates)
        watchdog.mail_test(0)
        watchdog.watch()
    test, alert = (parsed(it[1]) for it in box.mails)
    assert picture_of(test) != picture_of(alert)
    words = "gradient norm of 5 layers (layer#), steps 0 to 239"
    assert words in text_of(alert) and words in html_of(alert)


def test_what_is_over_is_told_in_the_same_thread(watchdog, certificates):
    box = servers.Box()
    with servers.smtp(box, certificates, "starttls") as port:
        watchdog.mail(port, certificates).watch()
        # Nothing is new: nothing is said.
        watchdog.watch()
        assert len(box.mails) == 1
        # The run begins anew, comes as far, and is well.
        shutil.rmtree(watchdog.run)
        shutil.copytree(ROOT / "fixtures" / "runs" / "gpt-healthy", watchdog.run)
        watchdog.watch(status=0)
    first, last = (parsed(it[1]) for it in box.mails)
    assert last["Subject"] == first["Subject"].replace("CRITICAL", "RESOLVED")
    assert last["In-Reply-To"] == last["References"] == first["Message-ID"]
    assert last["Message-ID"] != first["Message-ID"]


def test_a_later_is_tried_again_with_the_same_bytes(watchdog, certificates):
    box = servers.Box(refuse={"me@example.test": ["451 4.7.1 greylisted"]})
    with servers.smtp(box, certificates, "starttls") as port:
        watchdog.mail(port, certificates).watch()
    assert len(box.mails) == 1


def test_a_bad_recipient_costs_nobody_else_his_mail(watchdog, certificates):
    box = servers.Box(refuse={"gone@example.test": ["550 5.1.1 no such user"]})
    with servers.smtp(box, certificates, "starttls") as port:
        watchdog.mail(port, certificates, to=("gone@example.test", "me@example.test")).watch()
        printed = watchdog.mail_test(2)
    assert {it[0] for it in box.mails} == {"me@example.test"}
    assert "change  `to`" in printed and "no such user" in printed


def test_a_certificate_of_nobody_known_gets_nothing(watchdog, certificates, tmp_path_factory):
    others = servers.Certificates(tmp_path_factory.mktemp("others"))
    box = servers.Box()
    for tls in ("starttls", "tls"):
        with servers.smtp(box, certificates, tls) as port:
            printed = watchdog.mail(port, others, tls).mail_test(2)
            assert "UnknownIssuer" in printed and "change  `ca_file`" in printed, printed
    assert not box.tries


def test_a_certificate_for_another_name_gets_nothing(watchdog, tmp_path):
    certificates = servers.Certificates(tmp_path)
    elsewhere = certificates.authority.issue_cert("mail.example.test")
    elsewhere.private_key_pem.write_to_path(certificates.key_file)
    elsewhere.cert_chain_pems[0].write_to_path(certificates.cert_file)
    box = servers.Box()
    with servers.smtp(box, certificates, "starttls") as port:
        printed = watchdog.mail(port, certificates).mail_test(2)
    assert "change  `host`" in printed, printed
    assert not box.tries


def test_a_wrong_password_is_said_and_keeps_the_mail(watchdog, certificates):
    box = servers.Box()
    (watchdog.directory / "password").write_text("wrong\n")
    with servers.smtp(box, certificates, "starttls") as port:
        watchdog.mail(port, certificates)
        assert "change  `username` or the password" in watchdog.mail_test(2)
    assert not box.tries


def test_postfix_takes_and_delivers(watchdog, certificates, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("Postfix is started by root only")
    directory = tmp_path / "postfix"
    directory.mkdir()
    with servers.Postfix(directory, certificates) as postfix:
        watchdog.mail(postfix.port, certificates, to=("me@example.test", "nobody@example.test")).watch()
        (mail,) = servers.wait_for(lambda: postfix.mails("me"))
        message = parsed(mail)
        assert message["Subject"].startswith("[gradwatch] [CRITICAL] nan: ")
        assert "layer_00" in text_of(message) and "layer_00" in html_of(message)
        (watchdog.directory / "password").write_text("wrong\n")
        assert "change  `username` or the password" in watchdog.mail_test(2)


def test_alertmanager_holds_the_alert_until_it_is_over(watchdog, tmp_path):
    directory = tmp_path / "alertmanager"
    directory.mkdir()

    def alerts(url):
        return json.load(urllib.request.urlopen(f"{url}/api/v2/alerts", timeout=10))

    with servers.alertmanager(directory) as url:
        watchdog.configure(f'[alertmanager]\nurl = "{url}"\n').watch()
        (alert,) = alerts(url)
        labels = alert["labels"]
        assert labels["alertname"] == "non-finite-gradients" and labels["severity"] == "critical"
        assert labels["run"] == "nan" and labels["family"] == "nonfinite"
        assert alert["status"]["state"] == "active"
        assert "layer_00" in alert["annotations"]["layers"]
        shutil.rmtree(watchdog.run)
        shutil.copytree(ROOT / "fixtures" / "runs" / "gpt-healthy", watchdog.run)
        watchdog.watch(status=0)
        assert alerts(url) == []


def test_a_webhook_gets_json_and_a_token(watchdog):
    with servers.webhook() as (url, posts):
        watchdog.configure(f'[webhook]\nurl = "{url}"\ntoken_file = "token"\n').watch()
    ((headers, value),) = posts
    assert headers["Authorization"] == "Bearer t0k3n"
    assert value["schema"] == "gradwatch.alert/1" and value["occasion"] == "firing"
    assert value["run"] == "nan" and value["severity"] == "critical"
    assert value["alarms"][0]["finding"]["rule"] == "non-finite-gradients"


def test_a_command_gets_the_alert_on_its_standard_input(watchdog):
    heard = watchdog.directory / "heard.json"
    watchdog.configure(f'[command]\nargv = ["tee", "{heard}"]\ntimeout = "20s"\n').watch()
    value = json.loads(heard.read_text())
    assert value["schema"] == "gradwatch.alert/1" and value["title"].startswith("nan: gradient norm is NaN")

"""What people get: a message in Slack, an e-mail; and what is said where they can't get it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from harness.certificates import certificate
from notify.receivers import MailServer, Webhook, running

from pipelines.notifications import mail, slack
from pipelines.notifications.notice import Notice
from pipelines.notifications.tell import tell
from pipelines.settings.sections import NotifySettings
from training.errors import InputError, OstinatoError

NOTICE = Notice(
    kind="refused",
    model="churn",
    run="churn-20260101-1",
    refusals=(("auc against champion", "auc is 0.71 against the champion's 0.80: <b>worse</b> & more."),),
    columns=("candidate", "champion (version 3)"),
    metrics=(("auc", "0.71", "0.80"), ("log_loss", "0.4", "0.3")),
    links=(("run", "https://console.example.org/runs/1?a=1&b=2"), ("report", "/runs/1/index.html")),
)


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (slack.WEBHOOK, mail.USER, mail.PASSWORD):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(f"{name}_FILE", raising=False)


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with Webhook() as server:
        yield server


@pytest.fixture
def mailbox() -> Iterator[MailServer]:
    with running(MailServer()) as server:
        yield server


def by_mail(server: MailServer, **other: object) -> NotifySettings:
    given = {"email_to": ["a@example.org", "b@example.org"], "email_from": "ci@example.org", "smtp_host": "127.0.0.1"}
    return NotifySettings.model_validate({**given, "smtp_port": server.port, **other})


def test_a_refusal_in_slack_names_each_check_with_its_reason_and_shows_both_models(webhook: Webhook) -> None:
    slack.send(webhook.url, NOTICE)
    (body,) = webhook.kept
    assert body["text"] == "Checks failed: churn"
    texts = [block["text"]["text"] for block in body["blocks"][:-1]]
    assert "*auc against champion*" in texts[1] and "0.71 against the champion's 0.80" in texts[1]
    assert "candidate  champion (version 3)" in texts[2]
    assert "<https://console.example.org/runs/1?a=1&b=2|run>" in body["blocks"][-1]["elements"][0]["text"]


def test_text_of_a_model_is_inert_in_slack_and_in_a_mail(webhook: Webhook, mailbox: MailServer) -> None:
    hostile = replace(NOTICE, message="<!channel> <script>alert(1)</script>", model="<!here>")
    slack.send(webhook.url, hostile)
    text = str(webhook.kept[0]["blocks"])
    assert "<!channel>" not in text and "&lt;!channel&gt;" in text and "<b>" not in text
    mail.send(by_mail(mailbox), hostile)
    page = mailbox.kept[0].get_body(("html",)).get_content()
    assert "<script>" not in page and "&lt;script&gt;" in page and "&lt;b&gt;worse" in page


def test_a_long_story_is_cut_to_what_slack_takes(webhook: Webhook) -> None:
    many = tuple((f"check {i}", "long " * 2000) for i in range(80))
    slack.send(webhook.url, replace(NOTICE, refusals=many, model="m" * 400))
    assert len(webhook.kept[0]["blocks"]) == 50


def test_a_busy_webhook_is_asked_again_as_it_says(webhook: Webhook) -> None:
    webhook.answers = [(429, {"Retry-After": "0.05"}), (503, {})]
    slack.send(webhook.url, NOTICE)
    assert len(webhook.log) == 3 and len(webhook.kept) == 1


@pytest.mark.parametrize(
    ("answers", "asked", "what"),
    [
        ([(404, {})], 1, "answered 404"),
        ([(429, {"Retry-After": "3600"})], 1, "answered 429"),
        ([(500, {})] * 5, 3, "answered 500"),
        ([(302, {"Location": "https://example.org/"})], 1, "answered 302"),
    ],
)
def test_a_webhook_that_takes_nothing_is_told_without_its_address(
    answers: list, asked: int, what: str, webhook: Webhook
) -> None:
    webhook.answers = answers
    with pytest.raises(OstinatoError, match=what) as caught:
        slack.send(webhook.url, NOTICE)
    assert len(webhook.log) == asked and "s3cret" not in str(caught.value)


def test_a_webhook_that_is_not_there_is_told_without_its_address() -> None:
    with Webhook() as gone:
        url = gone.url
    with pytest.raises(OstinatoError, match="can't be reached") as caught:
        slack.send(url, NOTICE)
    assert "s3cret" not in str(caught.value) and caught.value.__suppress_context__


def test_a_webhook_without_tls_is_refused() -> None:
    with pytest.raises(InputError, match="no https:// address"):
        slack.send("http://hooks.example.org/x", NOTICE)


def test_a_mail_has_the_same_as_text_and_as_html(mailbox: MailServer) -> None:
    mail.send(by_mail(mailbox), NOTICE)
    (message,) = mailbox.kept
    assert message["Subject"] == "Checks failed: churn"
    assert message["To"] == "a@example.org, b@example.org" and message["Auto-Submitted"] == "auto-generated"
    for kind in ("plain", "html"):
        body = message.get_body((kind,)).get_content()
        assert "champion (version 3)" in body and "0.80" in body and "auc against champion" in body


def test_a_name_with_a_line_break_adds_no_header(mailbox: MailServer) -> None:
    mail.send(by_mail(mailbox), replace(NOTICE, model="x\r\nBcc: everybody@example.org"))
    assert mailbox.kept[0]["Bcc"] is None


def test_with_a_password_the_connection_is_encrypted_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = certificate(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    monkeypatch.setenv(mail.USER, "ci")
    (tmp_path / "password").write_text("s3cretpassw0rd\n")
    monkeypatch.setenv(f"{mail.PASSWORD}_FILE", str(tmp_path / "password"))
    with running(MailServer(file, ("ci", "s3cretpassw0rd"))) as server:
        mail.send(by_mail(server), NOTICE)
        assert server.encrypted == [True]
    with running(MailServer(file, ("ci", "another"))) as server, pytest.raises(InputError, match="535") as caught:
        mail.send(by_mail(server), NOTICE)
    assert "s3cret" not in str(caught.value)


def test_a_password_never_goes_in_the_clear(mailbox: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(mail.USER, "ci")
    monkeypatch.setenv(mail.PASSWORD, "s3cretpassw0rd")
    with pytest.raises(InputError, match="no STARTTLS"):
        mail.send(by_mail(mailbox), NOTICE)
    assert not mailbox.kept


def test_a_certificate_that_nobody_trusts_ends_the_connection(tmp_path: Path) -> None:
    with (
        running(MailServer(certificate(tmp_path))) as server,
        pytest.raises(OstinatoError, match="did not take the message: SSLCertVerificationError"),
    ):
        mail.send(by_mail(server), NOTICE)


@pytest.mark.parametrize(
    ("other", "what"),
    [({"smtp_host": ""}, "notify.smtp_host is not"), ({"email_from": ""}, "notify.email_from is not")],
)
def test_half_a_configuration_is_refused_by_name(other: dict, what: str, mailbox: MailServer) -> None:
    with pytest.raises(InputError, match=what):
        mail.send(by_mail(mailbox, **other), NOTICE)


def test_one_channel_that_fails_keeps_nothing_from_the_other(
    webhook: Webhook, mailbox: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(slack.WEBHOOK, webhook.url)
    mailbox.refuse = "550 no such user"
    (problem,) = tell(by_mail(mailbox), NOTICE)
    assert "did not take the message" in problem and len(webhook.kept) == 1


def test_only_what_is_asked_for_is_told(webhook: Webhook, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(slack.WEBHOOK, webhook.url)
    assert tell(NotifySettings(on=["failed"]), NOTICE) == [] and not webhook.kept

"""Notices by e-mail: plain text, and the same as HTML."""

import smtplib
import ssl
from email.message import EmailMessage
from email.utils import make_msgid

from jinja2 import Environment, PackageLoader, StrictUndefined

from delivery.secret import secret
from pipelines.notifications.notice import Notice
from pipelines.settings.sections import NotifySettings
from training.errors import InputError, OstinatoError

USER, PASSWORD = "OSTINATO_SMTP_USER", "OSTINATO_SMTP_PASSWORD"
TIMEOUT_S = 20
TLS_FROM_THE_START = 465


def message_of(notice: Notice, settings: NotifySettings) -> EmailMessage:
    """The message. Line breaks in names can't add headers: the header's reader refuses them."""
    message = EmailMessage()
    message["Subject"] = " ".join(notice.headline.split())
    message["From"] = settings.email_from
    message["To"] = ", ".join(settings.email_to)
    message["Message-ID"] = make_msgid(idstring=notice.run, domain=settings.email_from.rpartition("@")[2] or None)
    message["Auto-Submitted"] = "auto-generated"
    templates = PackageLoader("pipelines.notifications")
    environment = Environment(loader=templates, undefined=StrictUndefined, trim_blocks=True)
    message.set_content(environment.get_template("notice.txt.j2").render(notice=notice))
    environment.autoescape = True
    message.add_alternative(environment.get_template("notice.html.j2").render(notice=notice), subtype="html")
    return message


def send(settings: NotifySettings, notice: Notice) -> None:
    """Raises InputError for settings that can't be right, OstinatoError if the server did not take the message."""
    missing = [name for name in ("email_from", "smtp_host") if not getattr(settings, name)]
    if missing:
        raise InputError(f"notify.email_to is set, and notify.{' and notify.'.join(missing)} is not")
    user, password = secret(USER), secret(PASSWORD)
    if bool(user) != bool(password):
        raise InputError(f"one of {USER} and {PASSWORD} is set, and not the other")
    at = f"{settings.smtp_host}:{settings.smtp_port}"
    try:
        with _connect(settings) as server:
            server.ehlo()
            if settings.smtp_port != TLS_FROM_THE_START and server.has_extn("starttls"):
                server.starttls(context=ssl.create_default_context())
                server.ehlo()
            elif user and settings.smtp_port != TLS_FROM_THE_START:
                raise InputError(f"{at} offers no STARTTLS, and the password would go over the network in the clear")
            if user:
                server.login(user, password)
            server.send_message(message_of(notice, settings))
    except smtplib.SMTPAuthenticationError as error:
        raise InputError(f"{at} does not take {USER} and {PASSWORD} (code {error.smtp_code})") from None
    except (smtplib.SMTPException, OSError) as error:
        raise OstinatoError(f"{at} did not take the message: {type(error).__name__}: {error}") from error


def _connect(settings: NotifySettings) -> smtplib.SMTP:
    where = (settings.smtp_host, settings.smtp_port)
    if settings.smtp_port == TLS_FROM_THE_START:
        return smtplib.SMTP_SSL(*where, timeout=TIMEOUT_S, context=ssl.create_default_context())
    return smtplib.SMTP(*where, timeout=TIMEOUT_S)

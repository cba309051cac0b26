"""Who is told how a run ended: a Slack-compatible webhook, and e-mail."""

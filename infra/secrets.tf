# Empty secrets: their values are added by a person, and never come here. What each is for:
# docs/how-to/infrastructure.md.
locals {
  secret_readers = {
    mlflow-token          = ["build", "pipeline", "events"]
    forge-token           = ["build", "pipeline"]
    events-secret         = ["pipeline", "events"]
    mlflow-webhook-secret = ["events"]
    slack-webhook         = ["build", "events"]
    comment-token         = ["quality"]
  }
  secret_grants = merge([
    for secret, readers in local.secret_readers : {
      for reader in readers : "${secret} ${reader}" => { secret = secret, reader = reader }
    }
  ]...)
}

resource "google_secret_manager_secret" "this" {
  for_each = local.secret_readers

  secret_id = each.key

  replication {
    user_managed {
      replicas {
        location = var.region
      }
    }
  }

  depends_on = [google_project_service.used]
}

resource "google_secret_manager_secret_iam_member" "reader" {
  for_each = local.secret_grants

  secret_id = google_secret_manager_secret.this[each.value.secret].id
  role      = "roles/secretmanager.secretAccessor"
  member    = local.members[each.value.reader]
}

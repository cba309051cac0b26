# Runs that nobody waits for are told of: every hour, a job asks which of the last three hours ended.
resource "google_cloud_run_v2_job" "notify" {
  count = local.events

  name                = "ostinato-notify"
  location            = var.region
  deletion_protection = false

  template {
    template {
      service_account = google_service_account.events.email
      timeout         = "600s"
      max_retries     = 1

      containers {
        image   = var.image
        command = ["ostinato"]
        args    = ["notify", "--backend", "vertex", "--since", "3h"]

        dynamic "env" {
          for_each = local.settings
          content {
            name  = env.key
            value = env.value
          }
        }

        dynamic "env" {
          for_each = {
            MLFLOW_TRACKING_TOKEN  = "mlflow-token"
            OSTINATO_SLACK_WEBHOOK = "slack-webhook"
          }
          content {
            name = env.key
            value_source {
              secret_key_ref {
                secret  = google_secret_manager_secret.this[env.value].secret_id
                version = "latest"
              }
            }
          }
        }
      }
    }
  }

  depends_on = [google_secret_manager_secret_iam_member.reader]
}

resource "google_cloud_run_v2_job_iam_member" "clock_starts" {
  count = local.events

  name     = google_cloud_run_v2_job.notify[0].name
  location = var.region
  role     = "roles/run.invoker"
  member   = google_service_account.clock.member
}

resource "google_cloud_scheduler_job" "notify" {
  count = local.events

  name      = "ostinato-notify"
  region    = var.region
  schedule  = "5 * * * *"
  time_zone = "UTC"

  http_target {
    http_method = "POST"
    uri         = "https://run.googleapis.com/v2/projects/${var.project}/locations/${var.region}/jobs/${google_cloud_run_v2_job.notify[0].name}:run"
    oauth_token {
      service_account_email = google_service_account.clock.email
    }
  }

  depends_on = [google_project_service.used]
}

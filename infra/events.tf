# The entry point for events. It is made with the image of the first build: terraform apply -var image=...
locals {
  events     = var.image == "" ? 0 : 1
  new_data   = var.image == "" || var.data_bucket == "" ? 0 : 1
  events_uri = "https://ostinato-events-${data.google_project.this.number}.${var.region}.run.app"

  # What `ostinato` has to know wherever it runs here; the steps read their secrets when they start.
  settings = {
    OSTINATO_IMAGE                   = var.image
    OSTINATO_TRACKING_URI            = var.tracking_uri
    OSTINATO_MANIFESTS_REMOTE        = var.manifests_remote
    OSTINATO_EVENTS_URL              = "${local.events_uri}/events/drift"
    OSTINATO_VERTEX__PROJECT         = var.project
    OSTINATO_VERTEX__REGION          = var.region
    OSTINATO_VERTEX__PIPELINE_ROOT   = "${google_storage_bucket.pipeline_root.url}/ostinato"
    OSTINATO_VERTEX__SERVICE_ACCOUNT = google_service_account.pipeline.email
    OSTINATO_VERTEX__SECRETS = jsonencode({
      MLFLOW_TRACKING_TOKEN  = "${google_secret_manager_secret.this["mlflow-token"].id}/versions/latest"
      OSTINATO_GIT_TOKEN     = "${google_secret_manager_secret.this["forge-token"].id}/versions/latest"
      OSTINATO_FORGE_TOKEN   = "${google_secret_manager_secret.this["forge-token"].id}/versions/latest"
      OSTINATO_EVENTS_SECRET = "${google_secret_manager_secret.this["events-secret"].id}/versions/latest"
    })
  }
}

resource "google_cloud_run_v2_service" "events" {
  count = local.events

  name                = "ostinato-events"
  location            = var.region
  deletion_protection = false

  template {
    service_account                  = google_service_account.events.email
    timeout                          = "120s"
    max_instance_request_concurrency = 8

    scaling {
      max_instance_count = 2
    }

    containers {
      image   = var.image
      command = ["ostinato"]
      args    = ["events", "serve", "--host", "0.0.0.0", "--port", "8080"]

      ports {
        container_port = 8080
      }

      resources {
        limits = {
          cpu    = "1"
          memory = "1Gi"
        }
      }

      dynamic "env" {
        for_each = merge(local.settings, {
          OSTINATO_EVENTS__BACKEND  = "vertex"
          OSTINATO_EVENTS__AUDIENCE = local.events_uri
          OSTINATO_EVENTS__SENDERS  = jsonencode([google_service_account.sender.email])
        })
        content {
          name  = env.key
          value = env.value
        }
      }

      dynamic "env" {
        for_each = {
          MLFLOW_TRACKING_TOKEN          = "mlflow-token"
          OSTINATO_EVENTS_SECRET         = "events-secret"
          OSTINATO_MLFLOW_WEBHOOK_SECRET = "mlflow-webhook-secret"
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

  depends_on = [google_secret_manager_secret_iam_member.reader]
}

# MLflow and the drift watch sign what they send and have no identity of Google's; the entry point itself checks every
# request, Google's by its token, theirs by its signature.
resource "google_cloud_run_v2_service_iam_member" "anyone_may_knock" {
  count = local.events

  name     = google_cloud_run_v2_service.events[0].name
  location = var.region
  role     = "roles/run.invoker"
  member   = "allUsers"
}

resource "google_pubsub_topic" "new_data" {
  count = local.new_data

  name       = "ostinato-new-data"
  depends_on = [google_project_service.used]
}

data "google_storage_project_service_account" "gcs" {
}

resource "google_pubsub_topic_iam_member" "bucket_publishes" {
  count = local.new_data

  topic  = google_pubsub_topic.new_data[0].name
  role   = "roles/pubsub.publisher"
  member = "serviceAccount:${data.google_storage_project_service_account.gcs.email_address}"
}

resource "google_storage_notification" "new_data" {
  count = local.new_data

  bucket         = var.data_bucket
  topic          = google_pubsub_topic.new_data[0].id
  event_types    = ["OBJECT_FINALIZE"]
  payload_format = "JSON_API_V1"
  depends_on     = [google_pubsub_topic_iam_member.bucket_publishes]
}

resource "google_pubsub_topic" "not_delivered" {
  count = local.new_data

  name = "ostinato-not-delivered"
}

resource "google_pubsub_subscription" "new_data" {
  count = local.new_data

  name                 = "ostinato-new-data"
  topic                = google_pubsub_topic.new_data[0].id
  ack_deadline_seconds = 120

  push_config {
    push_endpoint = "${google_cloud_run_v2_service.events[0].uri}/events/pubsub"
    oidc_token {
      service_account_email = google_service_account.sender.email
      audience              = local.events_uri
    }
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.not_delivered[0].id
    max_delivery_attempts = 20
  }
}

# Pub/Sub's own agent moves what could not be delivered.
resource "google_pubsub_topic_iam_member" "agent_publishes" {
  count = local.new_data

  topic  = google_pubsub_topic.not_delivered[0].name
  role   = "roles/pubsub.publisher"
  member = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

resource "google_pubsub_subscription_iam_member" "agent_takes" {
  count = local.new_data

  subscription = google_pubsub_subscription.new_data[0].name
  role         = "roles/pubsub.subscriber"
  member       = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

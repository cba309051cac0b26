resource "google_cloudbuildv2_repository" "project" {
  name              = replace(var.repository, "/", "-")
  location          = var.region
  parent_connection = var.connection
  remote_uri        = "https://github.com/${var.repository}.git"
}

locals {
  substitutions = {
    _REGION           = var.region
    _TRACKING_URI     = var.tracking_uri
    _MANIFESTS_REMOTE = var.manifests_remote
    _ENDPOINTS        = var.endpoints
  }
}

resource "google_cloudbuild_trigger" "merge" {
  name            = "ostinato-merge"
  location        = var.region
  filename        = "cloudbuild.yaml"
  service_account = google_service_account.build.id
  substitutions   = local.substitutions

  repository_event_config {
    repository = google_cloudbuildv2_repository.project.id
    push {
      branch = "^main$"
    }
  }
}

resource "google_cloudbuild_trigger" "pull_request" {
  name            = "ostinato-pull-request"
  location        = var.region
  filename        = "cloudbuild-quality.yaml"
  service_account = google_service_account.quality.id

  repository_event_config {
    repository = google_cloudbuildv2_repository.project.id
    pull_request {
      branch = "^main$"
      # A build of somebody else's code waits for a word from a person who may write.
      comment_control = "COMMENTS_ENABLED_FOR_EXTERNAL_CONTRIBUTORS_ONLY"
    }
  }
}

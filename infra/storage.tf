# What the steps hand on: Vertex AI's pipeline root. A step that is repeated writes a new folder, so nothing is changed in
# place; a version is kept for a week in case somebody deletes one.
resource "google_storage_bucket" "pipeline_root" {
  name                        = "${var.project}-pipelines"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  versioning {
    enabled = true
  }

  lifecycle_rule {
    condition {
      age = var.keep_artifacts_days
    }
    action {
      type = "Delete"
    }
  }

  lifecycle_rule {
    condition {
      days_since_noncurrent_time = 7
    }
    action {
      type = "Delete"
    }
  }
}

# Model folders: MLflow's artifact store. What is live is read from here whenever a pod starts, so nothing expires, and
# what is deleted by mistake can be had back for 30 days.
resource "google_storage_bucket" "models" {
  name                        = "${var.project}-models"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"

  versioning {
    enabled = true
  }

  soft_delete_policy {
    retention_duration_seconds = 30 * 24 * 3600
  }

  lifecycle {
    prevent_destroy = true
  }
}

resource "google_artifact_registry_repository" "images" {
  repository_id = "ostinato"
  location      = var.region
  format        = "DOCKER"

  docker_config {
    immutable_tags = true
  }

  cleanup_policies {
    id     = "keep-recent"
    action = "KEEP"
    most_recent_versions {
      keep_count = 20
    }
  }

  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"
    condition {
      older_than = "${180 * 24 * 3600}s"
    }
  }

  depends_on = [google_project_service.used]
}

output "settings" {
  description = "What goes into [tool.ostinato.vertex] of pyproject.toml."
  value = {
    project         = var.project
    region          = var.region
    pipeline_root   = "${google_storage_bucket.pipeline_root.url}/ostinato"
    service_account = google_service_account.pipeline.email
  }
}

output "image_repository" {
  description = "Where the build pushes the image."
  value       = "${var.region}-docker.pkg.dev/${var.project}/${google_artifact_registry_repository.images.repository_id}"
}

output "events_uri" {
  description = "The entry point for events; empty before there is an image."
  value       = var.image == "" ? "" : local.events_uri
}

output "workload_identity_provider" {
  description = "Of GitHub's workflows: the input of the google-github-actions/auth action."
  value       = google_iam_workload_identity_pool_provider.github.name
}

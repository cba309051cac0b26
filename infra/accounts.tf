# One account for each thing that acts, and to each what it needs, on the thing itself where that is possible.

resource "google_service_account" "build" {
  account_id   = "ostinato-build"
  display_name = "Builds: tests, image, submission"
}

resource "google_service_account" "pipeline" {
  account_id   = "ostinato-pipeline"
  display_name = "Steps of the pipeline on Vertex AI"
}

resource "google_service_account" "events" {
  account_id   = "ostinato-events"
  display_name = "Entry point for events on Cloud Run"
}

resource "google_service_account" "sender" {
  account_id   = "ostinato-sender"
  display_name = "Whose identity Pub/Sub and Eventarc show to the entry point"
}

resource "google_service_account" "clock" {
  account_id   = "ostinato-clock"
  display_name = "Cloud Scheduler: starts the job that tells of ended runs"
}

resource "google_service_account" "quality" {
  account_id   = "ostinato-quality"
  display_name = "Checks of pull requests: reads the registry's data, writes nothing"
}

locals {
  project_roles = {
    # Submits and watches pipelines; writes its own log.
    build = [
      "roles/aiplatform.user",
      "roles/logging.logWriter",
    ]
    # Vertex AI's steps write metadata and logs.
    pipeline = [
      "roles/aiplatform.user",
      "roles/logging.logWriter",
    ]
    events = [
      "roles/aiplatform.user",
      "roles/logging.logWriter",
    ]
    sender = [
      "roles/eventarc.eventReceiver",
    ]
    clock = []
    quality = [
      "roles/logging.logWriter",
    ]
  }
  members = {
    build    = google_service_account.build.member
    pipeline = google_service_account.pipeline.member
    events   = google_service_account.events.member
    sender   = google_service_account.sender.member
    clock    = google_service_account.clock.member
    quality  = google_service_account.quality.member
  }
  grants = merge([
    for account, roles in local.project_roles : {
      for role in roles : "${account} ${role}" => { account = account, role = role }
    }
  ]...)
}

resource "google_project_iam_member" "account" {
  for_each = local.grants

  project = var.project
  role    = each.value.role
  member  = local.members[each.value.account]
}

# Who submits a pipeline that runs as another account must be allowed to use that account.
resource "google_service_account_iam_member" "submits_as_pipeline" {
  for_each = toset(["build", "events"])

  service_account_id = google_service_account.pipeline.name
  role               = "roles/iam.serviceAccountUser"
  member             = local.members[each.value]
}

resource "google_artifact_registry_repository_iam_member" "build_pushes" {
  repository = google_artifact_registry_repository.images.name
  location   = google_artifact_registry_repository.images.location
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.build.member
}

resource "google_artifact_registry_repository_iam_member" "pulls" {
  for_each = toset(["pipeline", "events", "quality"])

  repository = google_artifact_registry_repository.images.name
  location   = google_artifact_registry_repository.images.location
  role       = "roles/artifactregistry.reader"
  member     = local.members[each.value]
}

resource "google_storage_bucket_iam_member" "pipeline_root" {
  for_each = toset(["build", "pipeline", "events"])

  bucket = google_storage_bucket.pipeline_root.name
  role   = "roles/storage.objectUser"
  member = local.members[each.value]
}

# The client of Vertex AI looks whether the bucket is there before it submits.
resource "google_storage_bucket_iam_member" "looks_at_pipeline_root" {
  for_each = toset(["build", "events"])

  bucket = google_storage_bucket.pipeline_root.name
  role   = "roles/storage.bucketViewer"
  member = local.members[each.value]
}

resource "google_storage_bucket_iam_member" "models" {
  bucket = google_storage_bucket.models.name
  role   = "roles/storage.objectUser"
  member = google_service_account.pipeline.member
}

resource "google_storage_bucket_iam_member" "data" {
  for_each = var.data_bucket == "" ? toset([]) : toset(["build", "pipeline", "events", "quality"])

  bucket = var.data_bucket
  role   = "roles/storage.objectViewer"
  member = local.members[each.value]
}

variable "project" {
  description = "Google Cloud project that everything lives in."
  type        = string
}

variable "region" {
  description = "Region of Vertex AI, Artifact Registry, Cloud Run and the buckets."
  type        = string
  default     = "europe-west4"
}

variable "repository" {
  description = "GitHub repository of this project, OWNER/NAME."
  type        = string

  validation {
    condition     = can(regex("^[^/]+/[^/]+$", var.repository))
    error_message = "Write OWNER/NAME."
  }
}

variable "connection" {
  description = "Name of the Cloud Build connection to GitHub in this region; made once by hand, since a person has to allow it."
  type        = string
  default     = "github"
}

variable "tracking_uri" {
  description = "URL of the MLflow server."
  type        = string
}

variable "manifests_remote" {
  description = "Git URL of the manifests repository, without a user or a token."
  type        = string

  validation {
    condition     = !can(regex("://[^/]*@", var.manifests_remote))
    error_message = "A URL may not hold a user or a token; tokens are in Secret Manager."
  }
}

variable "image" {
  description = "The project's image by digest; empty until the first build has pushed one, and then without the entry point for events."
  type        = string
  default     = ""

  validation {
    condition     = var.image == "" || can(regex("@sha256:[0-9a-f]{64}$", var.image))
    error_message = "Name the image by its digest: REGISTRY/ostinato@sha256:..."
  }
}

variable "endpoints" {
  description = "Address of the live services with MODEL for the model's name, such as https://MODEL.example.org; empty to look at none after a merge."
  type        = string
  default     = ""
}

variable "data_bucket" {
  description = "Bucket in which new data appears; its events start runs. Empty for none."
  type        = string
  default     = ""
}

variable "keep_artifacts_days" {
  description = "Days after which what steps handed on is deleted. The registry keeps models elsewhere."
  type        = number
  default     = 90
}

variable "alert_email" {
  description = "Who is told of a pipeline that failed and that nobody waited for. Empty for nobody."
  type        = string
  default     = ""
}

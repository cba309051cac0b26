terraform {
  required_version = ">= 1.6"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 7.0"
    }
  }

  # State holds addresses and names, no secret value; keep it where it is versioned: terraform init -backend-config=bucket=...
  backend "gcs" {
    prefix = "ostinato"
  }
}

provider "google" {
  project = var.project
  region  = var.region
}

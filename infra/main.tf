# The domino on Google Cloud: Scheduler calls bronze; what lands in bronze sets off silver; what is committed to silver
# sets off gold.
#
#   scheduler.tf ──► functions.tf: bronze ──► buckets.tf: bronze ──► events.tf ──► silver ──► … ──► gold
#
# Read on in accounts.tf (who may what) and alerts.tf (who is told). What is optional is off: dashboard.tf, bigquery.tf,
# governance.tf.

terraform {
  required_version = ">= 1.11"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 8.7"
    }
    time = {
      source  = "hashicorp/time"
      version = "~> 0.14"
    }
  }
}

# Who asks pays: the budget's and the policies' APIs want to know the project that a question is counted to.
provider "google" {
  project               = var.project_id
  region                = var.region
  billing_project       = var.project_id
  user_project_override = true
  default_labels        = local.labels
}

locals {
  labels = merge({ app = var.prefix }, var.labels)

  # Google's own accounts in this project. Their addresses follow from the project's number, so nothing is looked up.
  agents = {
    artifactregistry = "serviceAccount:service-${var.project_number}@gcp-sa-artifactregistry.iam.gserviceaccount.com"
    bigquery         = "serviceAccount:bq-${var.project_number}@bigquery-encryption.iam.gserviceaccount.com"
    iap              = "serviceAccount:service-${var.project_number}@gcp-sa-iap.iam.gserviceaccount.com"
    pubsub           = "serviceAccount:service-${var.project_number}@gcp-sa-pubsub.iam.gserviceaccount.com"
    secretmanager    = "serviceAccount:service-${var.project_number}@gcp-sa-secretmanager.iam.gserviceaccount.com"
    storage          = "serviceAccount:service-${var.project_number}@gs-project-accounts.iam.gserviceaccount.com"
  }
}

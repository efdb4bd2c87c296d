# Before everything else, once, and only for those who want it: a bucket for Terraform's state, and a CI that deploys
# without a key. Its own state stays in this folder: it is small, and can be imported again.

terraform {
  required_version = ">= 1.11"

  required_providers {
    google = {
      source  = "hashicorp/google"
      version = "~> 8.7"
    }
  }
}

provider "google" {
  project = var.project_id
  region  = var.region
}

resource "google_project_service" "needed" {
  for_each = toset(concat(
    ["cloudresourcemanager.googleapis.com", "iam.googleapis.com", "storage.googleapis.com"],
    var.ci == null ? [] : ["iamcredentials.googleapis.com", "sts.googleapis.com"],
  ))

  project            = var.project_id
  service            = each.key
  disable_on_destroy = false
}

resource "google_storage_bucket" "state" {
  #checkov:skip=CKV_GCP_62:Who reads the state is told by Data Access audit logs, which know principals
  name                        = "${var.prefix}-state-${var.project_id}"
  project                     = var.project_id
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  deletion_policy             = "PREVENT"

  versioning {
    enabled = true
  }

  soft_delete_policy {
    retention_duration_seconds = 30 * 86400
  }

  lifecycle_rule {
    action {
      type = "Delete"
    }
    condition {
      num_newer_versions = 50
      with_state         = "ARCHIVED"
    }
  }

  depends_on = [google_project_service.needed]
}

# A CI that deploys: it proves by its own token which repository it works for, and nobody keeps a key.
locals {
  ci = var.ci == null ? {} : { deployer = var.ci }

  # What an apply of the root needs; for buckets, see below. It can give roles, and so is as mighty as an owner of this
  # project: keep the project for the lake alone, and the condition below narrow.
  deployer_roles = [
    "roles/artifactregistry.admin",
    "roles/cloudfunctions.admin",
    "roles/cloudscheduler.admin",
    "roles/iam.serviceAccountAdmin",
    "roles/iam.serviceAccountUser",
    "roles/logging.configWriter",
    "roles/monitoring.editor",
    "roles/pubsub.admin",
    "roles/resourcemanager.projectIamAdmin",
    "roles/run.admin",
    "roles/secretmanager.admin",
    "roles/serviceusage.serviceUsageAdmin",
  ]
}

resource "google_iam_workload_identity_pool" "ci" {
  for_each = local.ci

  project                   = var.project_id
  workload_identity_pool_id = "${var.prefix}-ci"
  display_name              = "CI of ${var.prefix}"

  depends_on = [google_project_service.needed]
}

resource "google_iam_workload_identity_pool_provider" "ci" {
  for_each = local.ci

  project                            = var.project_id
  workload_identity_pool_id          = google_iam_workload_identity_pool.ci[each.key].workload_identity_pool_id
  workload_identity_pool_provider_id = "ci"

  # Numbers, not names: a name can be given up and taken by somebody else.
  attribute_condition = join(" && ", [
    "assertion.repository_id == '${each.value.repository_id}'",
    "assertion.repository_owner_id == '${each.value.repository_owner_id}'",
    "assertion.sub == '${each.value.sub}'",
  ])
  attribute_mapping = { "google.subject" = "assertion.sub" }

  oidc {
    issuer_uri = each.value.issuer_uri
  }
}

resource "google_service_account" "deployer" {
  for_each = local.ci

  project      = var.project_id
  account_id   = "${var.prefix}-deployer"
  display_name = "Applies Terraform from CI"

  depends_on = [google_project_service.needed]
}

resource "google_service_account_iam_member" "ci" {
  for_each = local.ci

  service_account_id = google_service_account.deployer[each.key].name
  role               = "roles/iam.workloadIdentityUser"
  member             = "principal://iam.googleapis.com/${google_iam_workload_identity_pool.ci[each.key].name}/subject/${each.value.sub}"
}

resource "google_project_iam_member" "deployer" {
  #checkov:skip=CKV_GCP_41:It deploys functions that run as other accounts, so it must be let act as them
  #checkov:skip=CKV_GCP_42:It gives roles, which is what deploying this platform is; it exists only where var.ci asks for it
  #checkov:skip=CKV_GCP_49:As CKV_GCP_41: functions run as accounts that it makes
  for_each = toset(var.ci == null ? [] : local.deployer_roles)

  project = var.project_id
  role    = each.key
  member  = "serviceAccount:${google_service_account.deployer["deployer"].email}"
}

# Buckets it makes and changes, but what lies in the data buckets is not its to read: storage.admin would be too much.
resource "google_project_iam_custom_role" "buckets" {
  for_each = local.ci

  project     = var.project_id
  role_id     = "${replace(var.prefix, "-", "_")}_buckets"
  title       = "Makes buckets, and reads nothing in them"
  permissions = [for verb in ["create", "delete", "get", "getIamPolicy", "list", "setIamPolicy", "update"] : "storage.buckets.${verb}"]
}

resource "google_project_iam_member" "buckets" {
  for_each = local.ci

  project = var.project_id
  role    = google_project_iam_custom_role.buckets[each.key].id
  member  = "serviceAccount:${google_service_account.deployer[each.key].email}"
}

resource "google_project_iam_member" "objects" {
  for_each = var.ci == null ? {} : { state = google_storage_bucket.state.name, source = "${var.prefix}-source-${var.project_id}" }

  project = var.project_id
  role    = "roles/storage.objectUser"
  member  = "serviceAccount:${google_service_account.deployer["deployer"].email}"

  condition {
    title      = "only-the-${each.key}-bucket"
    expression = "resource.name.startsWith(\"projects/_/buckets/${each.value}\")"
  }
}

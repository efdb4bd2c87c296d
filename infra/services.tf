# What has to be switched on, and how long it takes until it is.

locals {
  services = toset(concat(
    [
      "artifactregistry.googleapis.com",
      "cloudbuild.googleapis.com",
      "cloudfunctions.googleapis.com",
      "cloudresourcemanager.googleapis.com",
      "cloudscheduler.googleapis.com",
      "iam.googleapis.com",
      "logging.googleapis.com",
      "monitoring.googleapis.com",
      "pubsub.googleapis.com",
      "run.googleapis.com",
      "secretmanager.googleapis.com",
      "storage.googleapis.com",
    ],
    var.budget == null ? [] : ["billingbudgets.googleapis.com"],
    length(local.external_tables) == 0 ? [] : ["bigquery.googleapis.com", "bigqueryconnection.googleapis.com"],
    var.dashboard == null ? [] : ["iap.googleapis.com"],
    var.kms_key == null ? [] : ["cloudkms.googleapis.com"],
    length(var.allowed_locations) == 0 ? [] : ["orgpolicy.googleapis.com"],
  ))
}

resource "google_project_service" "needed" {
  for_each = local.services

  project            = var.project_id
  service            = each.key
  disable_on_destroy = false # others may use it
}

# An API that was just switched on refuses calls for a while, and Google's own accounts take as long to appear.
resource "time_sleep" "services" {
  create_duration = "60s"
  triggers        = { services = join(",", sort(keys(google_project_service.needed))) }
}

# The one account of Google's that appears only when somebody asks for it: without it the first notification is refused.
# Its answer is used nowhere. It is asked while applying, after the services are on: a first plan needs no login.
data "google_storage_project_service_account" "awake" {
  project    = var.project_id
  depends_on = [time_sleep.services]
}

# A role that was just given is not seen everywhere at once: half of all first deployments fail of it.
resource "time_sleep" "roles" {
  create_duration = "60s"
  triggers = {
    builder = join(",", concat(
      [for grant in google_project_iam_member.builder : grant.id],
      [google_artifact_registry_repository_iam_member.builder.id, google_storage_bucket_iam_member.builder.id],
    ))
    buckets = join(",", [for grant in google_storage_bucket_iam_member.granted : grant.id])
    secret  = join(",", google_secret_manager_secret_iam_member.api_key[*].id)
  }
}

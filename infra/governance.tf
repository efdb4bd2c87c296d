# Optional: a key of your own for what lies at rest, where resources may lie, and who read what.

locals {
  # The key is somebody else's to keep: losing it loses the lake. Here Google's own accounts are only let use it.
  key_users = var.kms_key == null ? {} : merge(
    { for name in ["artifactregistry", "pubsub", "secretmanager", "storage"] : name => local.agents[name] },
    length(local.external_tables) == 0 ? {} : { bigquery = local.agents.bigquery },
  )
}

resource "google_kms_crypto_key_iam_member" "agent" {
  for_each = local.key_users

  crypto_key_id = var.kms_key
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = each.value

  depends_on = [data.google_storage_project_service_account.awake]
}

# As with other roles: whoever encrypts at once is told that it may not.
resource "time_sleep" "keys" {
  count = var.kms_key == null ? 0 : 1

  create_duration = "60s"
  triggers        = { grants = join(",", [for grant in google_kms_crypto_key_iam_member.agent : grant.id]) }
}

# Limits new resources only, and is no promise about storage: every resource here names its region itself.
resource "google_org_policy_policy" "locations" {
  count = length(var.allowed_locations) == 0 ? 0 : 1

  name   = "projects/${var.project_id}/policies/gcp.resourceLocations"
  parent = "projects/${var.project_id}"

  spec {
    rules {
      values {
        allowed_values = var.allowed_locations
      }
    }
  }

  depends_on = [time_sleep.services]
}

resource "google_project_iam_audit_config" "data" {
  for_each = toset(var.audit_logs ? ["secretmanager.googleapis.com", "storage.googleapis.com"] : [])

  project = var.project_id
  service = each.key

  audit_log_config {
    log_type = "DATA_READ"
  }
  audit_log_config {
    log_type = "DATA_WRITE"
  }
}

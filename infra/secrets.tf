# CoinGecko's key. Terraform owns the secret; a person adds its versions, so that the key never meets the state.
# The platform runs without: then there is no version, nobody may read the secret, and nobody refers to it.

resource "google_secret_manager_secret" "api_key" {
  project   = var.project_id
  secret_id = "${var.prefix}-api-key"

  replication {
    user_managed {
      replicas {
        location = var.region

        dynamic "customer_managed_encryption" {
          for_each = var.kms_key[*]
          content {
            kms_key_name = customer_managed_encryption.value
          }
        }
      }
    }
  }

  depends_on = [time_sleep.services, time_sleep.keys]
}

resource "google_secret_manager_secret_iam_member" "api_key" {
  count = var.api_key_version == null ? 0 : 1

  project   = var.project_id
  secret_id = google_secret_manager_secret.api_key.secret_id
  role      = "roles/secretmanager.secretAccessor"
  member    = local.account.bronze
}

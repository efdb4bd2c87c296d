# Optional: silver and gold in BigQuery, where they lie. The format is Delta Lake's: over the bare Parquet files BigQuery
# would count rows that were replaced, and files that no commit names.

locals {
  external_tables = merge([
    for layer, tables in var.bigquery : { for table in tables : "${layer}.${table}" => { layer = layer, table = table } }
  ]...)
  external_layers = toset([for each in local.external_tables : each.layer])
}

resource "google_bigquery_connection" "lake" {
  count = length(local.external_tables) == 0 ? 0 : 1

  project       = var.project_id
  location      = var.region
  connection_id = var.prefix
  description   = "Reads silver and gold where they lie"
  cloud_resource {}

  depends_on = [time_sleep.services]
}

resource "google_storage_bucket_iam_member" "bigquery" {
  for_each = local.external_layers

  bucket = google_storage_bucket.layer[each.key].name
  role   = local.may_read
  member = "serviceAccount:${google_bigquery_connection.lake[0].cloud_resource[0].service_account_id}"
}

resource "google_bigquery_dataset" "layer" {
  #checkov:skip=CKV_GCP_81:A key of one's own is a choice (kms_key); the dataset holds no rows, only where they lie
  for_each = local.external_layers

  project    = var.project_id
  location   = var.region
  dataset_id = "${replace(var.prefix, "-", "_")}_${each.key}"

  dynamic "default_encryption_configuration" {
    for_each = var.kms_key[*]
    content {
      kms_key_name = default_encryption_configuration.value
    }
  }

  depends_on = [time_sleep.services, time_sleep.keys]
}

resource "time_sleep" "bigquery" {
  for_each = local.external_layers

  create_duration = "60s"
  triggers        = { grant = google_storage_bucket_iam_member.bigquery[each.key].id }
}

resource "google_bigquery_table" "external" {
  #checkov:skip=CKV_GCP_80:A key of one's own is a choice (kms_key); an external table holds no rows
  #checkov:skip=CKV_GCP_121:There is nothing to protect from deletion: the rows lie in the bucket
  for_each = local.external_tables

  project             = var.project_id
  dataset_id          = google_bigquery_dataset.layer[each.value.layer].dataset_id
  table_id            = each.value.table
  deletion_protection = false

  external_data_configuration {
    source_format = "DELTA_LAKE"
    source_uris   = ["${local.roots[each.value.layer]}/${each.value.table}"]
    autodetect    = true
    connection_id = google_bigquery_connection.lake[0].name
  }

  depends_on = [time_sleep.bigquery]
}
